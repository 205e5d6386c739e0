"""The ``predict.py`` command: segment and measure the user's studies, and write a report on each study."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from lss_lightning import __version__
from lss_lightning.config.predict import PredictConfig
from lss_lightning.data.studies import (
    InputRequirements,
    StudyListing,
    StudySource,
    find_studies,
    open_input,
    summarise_problems,
)
from lss_lightning.display import format_count, shorten_path
from lss_lightning.errors import IncompleteError, UserError
from lss_lightning.files import atomic_folder
from lss_lightning.reporting.prediction import print_study, write_study_results
from lss_lightning.runs.output import PREDICTION_INDEX, output_folder, write_index
from lss_lightning.stenosis import DISCLAIMER, StudyResult, find_missing_classes
from lss_lightning.workflows.prediction.models import PredictionModels

_log = logging.getLogger(__name__)


def run(config: PredictConfig, folder: Path) -> None:
    """Segment and measure the configured studies, and write their reports.

    Args:
        config: The checked configuration.
        folder: The run directory, which contains the log. Results are written to ``config.output.folder``.

    Raises:
        UserError: If the checkpoints, the input, or all of the studies cannot be used.
        IncompleteError: If some studies, slices or files cannot be used.
    """
    models = PredictionModels.load(config)
    _log.info("%s", models.engine.hardware)
    target = Path(config.output.folder).expanduser()
    with (
        open_input(Path(config.input).expanduser()) as root,
        output_folder(target, overwrite=config.overwrite) as results,
    ):
        with _name_files(root):
            listing = find_studies(root, Path(config.input), results, config.series_by_kind)
        sources = listing.studies
        for file in (problem for problem in listing.left_out if not problem.is_error):
            Console().print(f"left out: {_shorten(file.file, root)}: {file.reason}", highlight=False, soft_wrap=True)
        _check_levels(config.levels, len(sources))
        for remark in listing.remarks:
            _log.warning("%s", remark)
        batch = _Batch(root, listing)
        write_index(results, _describe_batch(config, models, batch))
        for number, source in enumerate(sources, start=1):
            name = f"study_{number}"
            batch.outcomes[name] = _process_study(source, name, models, config, results)
            write_index(results, _describe_batch(config, models, batch))
            if len(sources) > 1:
                for problem in (*batch.outcomes[name].problems, *batch.outcomes[name].empty):
                    _log.warning("%s: %s", name, problem)
        _check_outcomes(batch, target)
    Console().print(str(shorten_path(target)), highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class _Outcome:
    """The outcome of a study.

    Attributes:
        done: Whether the results of the study were written.
        problems: Descriptions of the problems with the study.
        files: The files that each problem concerns.
        empty: A sentence if the study has no reported measurement although the checkpoint supports measurements.
    """

    done: bool
    problems: tuple[str, ...]
    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    empty: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Batch:
    """The input, the list of its studies and excluded files, and the outcomes so far by the name of the study."""

    root: Path
    listing: StudyListing
    outcomes: dict[str, _Outcome] = field(default_factory=dict)


@contextmanager
def _name_files(root: Path) -> Iterator[None]:
    """Append the affected files to the message of a UserError, which is printed but not stored."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{error}{_list_files(error.files, root)}") from error


def _list_files(files: Sequence[str], root: Path) -> str:
    """Return the first file and the number of further files in brackets, or an empty string if there are no files."""
    if not files:
        return ""
    return f" [{_shorten(files[0], root)}{f' and {len(files) - 1} more' if len(files) > 1 else ''}]"


def _shorten(file: str, root: Path) -> str:
    path = Path(file)
    return str(path.relative_to(root)) if path.is_relative_to(root) and path != root else path.name


def _check_levels(levels: Mapping[str, str], studies: int) -> None:
    """Check that each level given by the user refers to one of the studies."""
    for key in levels:
        study, slash, _ = key.rpartition("/")
        if studies > 1 and not slash:
            raise UserError(f"levels.{key}: the input contains {studies} studies; name one, e.g. study_2/{key}")
        if slash and int(study.removeprefix("study_")) > studies:
            number = "1 study" if studies == 1 else f"{studies} studies"
            raise UserError(f"levels.{key}: the input contains {number}, and no {study}; correct the name")


def _process_study(
    source: StudySource, name: str, models: PredictionModels, config: PredictConfig, results: Path
) -> _Outcome:
    """Read, segment and measure a study, and write its folder. A user error ends the processing of this study only."""
    requirements = InputRequirements(models.channels, config.pixel_size, config.series_by_kind)
    try:
        study = source.read(requirements, name)
        result = models.predict_study(study, name, config.levels_of(name))
        with atomic_folder(results / name) as draft:
            unwritten = write_study_results(result, draft, config.output, study.orientation)
    except UserError as error:
        return _Outcome(False, (str(error),), {str(error): error.files})
    print_study(result)
    return _Outcome(True, (*study.problems, *unwritten), study.files, _describe_empty(result))


def _describe_empty(result: StudyResult) -> tuple[str, ...]:
    """Return a sentence if no measurement of a study is reported although the checkpoint supports measurements."""
    if find_missing_classes(result.labels) or any(slice_.measurements for slice_ in result.slices):
        return ()
    first = next((slice_ for slice_ in result.slices if slice_.content != "vertebra"), result.slices[0])
    return (
        f"none of {format_count(len(result.slices), 'slice')} has a measurement; {first.name}: {first.not_measured}; "
        "check that these are axial lumbar slices like those of the training",
    )


def _describe_batch(config: PredictConfig, models: PredictionModels, batch: _Batch) -> dict[str, Any]:
    """Return the content of the index file. It contains no paths, because a path may contain the name of a patient."""
    return {
        "schema": 1,
        "disclaimer": DISCLAIMER,
        "software": f"lss_lightning {__version__}",
        "models": [{"name": model.name, "sha256": model.sha256} for model in models.identities],
        "settings": {name: getattr(config, name) for name in ("tta", "levels", "pixel_size", "batch_size")}
        # A description or file name may contain the name of a patient.
        | {"series": {kind: text if isinstance(text, int) else "by text" for kind, text in config.series.items()}}
        | {"hardware": str(models.engine.hardware), "keep_identity": config.output.keep_identity},
        "unreadable_files": len(batch.listing.unreadable),
        "left_out": [problem.reason for problem in batch.listing.left_out],
        "problems": list(batch.listing.problems),
        "remarks": list(batch.listing.remarks),
        "studies_found": len(batch.listing.studies),
        "finished": len(batch.outcomes) == len(batch.listing.studies),
        "studies": [
            {"name": name, "done": outcome.done, "problems": [*outcome.problems, *outcome.empty]}
            for name, outcome in batch.outcomes.items()
        ],
    }


def _check_outcomes(batch: _Batch, target: Path) -> None:
    """Check that all studies, slices and files have been used.

    Raises:
        UserError: If none of the studies could be used.
        IncompleteError: If some studies, slices or files could not be used.
    """
    problems = [
        f"{name}: {problem}{_list_files(outcome.files.get(problem, ()), batch.root)}"
        for name, outcome in batch.outcomes.items()
        for problem in outcome.problems
    ]
    if unreadable := batch.listing.unreadable:
        files = _list_files([problem.file for problem in unreadable], batch.root)
        number = format_count(len(unreadable), "DICOM file")
        problems.append(f"{number} cannot be read: {summarise_problems(unreadable)}; export them again{files}")
    problems += batch.listing.problems
    empty = [f"{name}: {sentence}" for name, outcome in batch.outcomes.items() for sentence in outcome.empty]
    problems += empty
    if not problems:
        return
    more = f" (and {len(problems) - 1} more, see {PREDICTION_INDEX})" if len(problems) > 1 else ""
    failed = sum(not outcome.done for outcome in batch.outcomes.values())
    studies = len(batch.listing.studies)
    if failed == studies:
        summary = f"none of {failed} studies can be used; " if failed > 1 else ""
        raise UserError(f"{summary}{problems[0]}")
    summary = f"{failed} of {studies} studies left out" if failed else "all studies done, but not all their files"
    if empty == problems:
        summary = f"{len(empty)} of {studies} studies without measurements" if studies > 1 else "nothing is measured"
    raise IncompleteError(f"output={shorten_path(target)}: {summary}; {problems[0]}{more}")
