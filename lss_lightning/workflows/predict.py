"""Segment and measure a user's studies, and write a report of each."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from lss_lightning import __version__
from lss_lightning.config.data import data_source
from lss_lightning.config.predict import PredictConfig
from lss_lightning.data.parallel import progress
from lss_lightning.data.studies import InputRequirements, Study, StudySource, find_studies, network_image, opened
from lss_lightning.display import shown_path
from lss_lightning.errors import IncompleteError, UserError
from lss_lightning.files import atomic_folder, sha256
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.models.ensemble import load_ensemble
from lss_lightning.reporting.prediction import print_study, write_study
from lss_lightning.runs.output import INDEX, output_folder, write_index
from lss_lightning.stenosis import DISCLAIMER, ModelIdentity, StudyResult
from lss_lightning.workflows.evaluation.calibration import LoadedCalibration, load_calibration
from lss_lightning.workflows.prediction.engine import Engine, NetworkInput
from lss_lightning.workflows.prediction.findings import judge, measured

_log = logging.getLogger(__name__)


def run(config: PredictConfig, folder: Path) -> None:
    """Predict as configured.

    Args:
        config: The checked configuration.
        folder: The run's own folder, which holds its log; results go to ``config.output.folder``.

    Raises:
        UserError: the checkpoints or the input cannot be used, or no study can.
        IncompleteError: some study, or some slice of one, cannot.
    """
    files = config.find_checkpoints()
    ensemble, all_metadata = load_ensemble(files, config.tta)
    engine = Engine(ensemble, all_metadata[0].spacing, config.trainer, config.batch_size)
    calibrated = load_calibration(config.calibration, files, all_metadata, config.tta)
    models = _Models(engine, all_metadata, tuple(map(_identity, files, all_metadata)), calibrated)
    _log.info("%s", engine.hardware)
    target = Path(config.output.folder).expanduser()
    with (
        opened(Path(config.input).expanduser()) as place,
        output_folder(target, overwrite=config.overwrite) as results,
    ):
        sources, broken = find_studies(place, Path(config.input), results)
        _refuse_ambiguous(config.levels, len(sources))
        outcomes: dict[str, _Outcome] = {}
        write_index(results, _about(config, models, outcomes, len(sources), broken))
        for number, source in enumerate(sources, start=1):
            name = f"study_{number}"
            outcomes[name] = _attempt(source, name, models, config, results)
            write_index(results, _about(config, models, outcomes, len(sources), broken))
            if len(sources) > 1:
                for problem in outcomes[name].problems:
                    _log.warning("%s: %s", name, problem)
        _refuse_failures(outcomes, broken, target)
    Console().print(str(shown_path(target)), highlight=False, soft_wrap=True)


@dataclass(frozen=True)
class _Models:
    """What segments."""

    engine: Engine
    all_metadata: tuple[CheckpointMetadata, ...]
    identities: tuple[ModelIdentity, ...]
    calibrated: LoadedCalibration | None

    @property
    def remarks(self) -> tuple[str, ...]:
        """What they were trained on, a sentence for each data source."""
        sources = [data_source(metadata.config["data"]) for metadata in self.all_metadata]
        # Every output says what is left out here.
        said = [source.disclaimer.replace("Research use only.", "").strip() for source in sources]
        trained = [f"Trained on data={source.name}. {more}" for source, more in zip(sources, said, strict=True)]
        return tuple(dict.fromkeys(remark.strip() for remark in trained))


@dataclass(frozen=True)
class _Outcome:
    """What became of a study: whether it was written, and what could not be used."""

    done: bool
    problems: tuple[str, ...]


def _attempt(source: StudySource, name: str, models: _Models, config: PredictConfig, results: Path) -> _Outcome:
    """Predict a study and write its folder; a mistake of the user's ends it, and nothing else."""
    try:
        study = source.read(InputRequirements(models.all_metadata[0].channels, config.pixel_size), name)
        result = predict_study(study, name, models, config.levels_of(name))
        with atomic_folder(results / name) as draft:
            write_study(result, draft, config.output, study.orientation)
    except UserError as error:
        return _Outcome(False, (str(error),))
    print_study(result)
    return _Outcome(True, study.problems)


def predict_study(study: Study, name: str, models: _Models, levels: Mapping[str, str]) -> StudyResult:
    """Segment and measure a study that has been read.

    Args:
        study: Its slices.
        name: Anonymous.
        models: What segments.
        levels: Those that the user names, by slice.

    Raises:
        UserError: a level is named for a slice that there is not, or a network gives NaN.
    """
    names = [piece.name for piece in study.slices]
    if unknown := [slice_ for slice_ in levels if slice_ not in names]:
        raise UserError(f"levels: no {unknown[0]} among {names[0]} to {names[-1]}; correct levels={{…}}")
    metadata, labels = models.all_metadata[0], models.all_metadata[0].label_set
    calibration = models.calibrated.calibration if models.calibrated else None
    promised = (models.calibrated.remark,) if models.calibrated else ()
    shown = [
        NetworkInput(network_image(piece.images, metadata.channels, metadata.third), piece.spacing)
        for piece in study.slices
    ]
    members = progress(models.engine.segment(shown), f"{name}: segmenting", len(shown))
    segmented = [
        measured(piece, image.pixels, each, labels, calibration)
        for piece, image, each in zip(study.slices, shown, members, strict=True)
    ]
    slices, remarks = judge(segmented, labels, levels)
    left_out = tuple(f"{problem[0].upper()}{problem[1:]}." for problem in study.problems)
    return StudyResult(
        name=name,
        slices=slices,
        labels=labels,
        models=models.identities,
        remarks=(*left_out, *study.remarks, *promised, *remarks),
        # A picture or a table may be shown on its own.
        disclaimer=" ".join((DISCLAIMER, *models.remarks)),
    )


def _identity(file: Path, metadata: CheckpointMetadata) -> ModelIdentity:
    return ModelIdentity(metadata.config["name"], sha256(file))


def _refuse_ambiguous(levels: Mapping[str, str], studies: int) -> None:
    for key in levels:
        study, slash, _ = key.rpartition("/")
        if studies > 1 and not slash:
            raise UserError(f"levels.{key}: the input holds {studies} studies; say of which, such as study_2/{key}")
        if slash and int(study.removeprefix("study_")) > studies:
            raise UserError(f"levels.{key}: the input holds {studies} studies, no {study}")


def _about(
    config: PredictConfig, models: _Models, outcomes: Mapping[str, _Outcome], studies: int, broken: int
) -> dict[str, Any]:
    """What the index says; no path, as it may hold a patient's name."""
    return {
        "schema": 1,
        "disclaimer": DISCLAIMER,
        "software": f"lss_lightning {__version__}",
        "models": [{"name": model.name, "sha256": model.sha256} for model in models.identities],
        "settings": {name: getattr(config, name) for name in ("tta", "levels", "pixel_size", "batch_size")}
        | {"hardware": str(models.engine.hardware), "keep_identity": config.output.keep_identity},
        "unreadable_files": broken,
        "studies_found": studies,
        "finished": len(outcomes) == studies,
        "studies": [
            {"name": name, "done": outcome.done, "problems": list(outcome.problems)}
            for name, outcome in outcomes.items()
        ],
    }


def _refuse_failures(outcomes: Mapping[str, _Outcome], broken: int, target: Path) -> None:
    """End with what could not be done, if there is any.

    Raises:
        UserError: no study could be done.
        IncompleteError: some study, slice or file could not be used.
    """
    problems = [f"{name}: {problem}" for name, outcome in outcomes.items() for problem in outcome.problems]
    if broken:
        problems.append(f"{broken} files that are called DICOM cannot be read; export them again")
    if not problems:
        return
    more = f" (and {len(problems) - 1} more, see {INDEX})" if len(problems) > 1 else ""
    failed = sum(not outcome.done for outcome in outcomes.values())
    if failed == len(outcomes):
        several = f"none of {failed} studies can be used; " if failed > 1 else ""
        raise UserError(f"{several}{problems[0]}")
    some = (
        f"{failed} of {len(outcomes)} studies left out" if failed else "all studies done, but not with all their files"
    )
    raise IncompleteError(f"output={shown_path(target)}: {some}; {problems[0]}{more}")
