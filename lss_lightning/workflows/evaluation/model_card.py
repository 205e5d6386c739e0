"""The model card of a run's selected checkpoint, after Mitchell et al., *Model cards for model reporting*, 2019."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.splits import PARTS
from lss_lightning.display import format_count
from lss_lightning.files import sha256
from lss_lightning.reporting.scores import make_score_tables
from lss_lightning.workflows.evaluation.context import EvaluationContext
from lss_lightning.workflows.evaluation.facts import collect_run_facts
from lss_lightning.workflows.evaluation.result import EvaluationResult

_PAPER = (
    "S. Altun, A. Alkan, *Lumbar Spinal Stenosis Analysis with Deep Learning Based Decision Support Systems*, Gazi "
    "University Journal of Science 36(3), 2023."
)


def write_model_card(result: EvaluationResult, checkpoint: Path, data: SliceDataModule) -> None:
    """Write the model card of a training run as a Markdown file.

    Args:
        result: The result of the run's test.
        checkpoint: The tested checkpoint.
        data: The data that the checkpoint was trained, selected and tested on.
    """
    context, metrics, labels = result.context, result.metrics, result.labels
    facts = {"File": f"`{checkpoint.name}`, SHA-256 `{sha256(checkpoint)}`", **context.facts}
    anatomy = ", ".join(labels[index].name for index in labels.anatomical)
    is_best = checkpoint.name == result.run_folder.best_checkpoint.name
    parts = (
        f"# Model card: {context.name}",
        f"**{context.disclaimer} Not a medical device.**",
        "## Model",
        _format_list(f"{name}: {text}" for name, text in facts.items()),
        "## Intended use",
        f"Research into the segmentation of {anatomy}: to develop, compare and teach methods on images prepared like "
        "the training data. Not intended for diagnosis, treatment planning, or any other decision about a patient.",
        f"`python evaluate.py ckpt_path={checkpoint.name}` tests it on labelled slices; `data=…` selects other data. "
        f"`python predict.py ckpt_path={checkpoint.name} input=… output=…` segments unlabelled images.",
        "## Data and protocol",
        _format_list(_describe_data(data, context, is_best=is_best)),
        "## Scores",
        f"{context.dataset}, {context.subset_title}, {context.split_description}: {_describe_size(metrics['data'])}.",
        "\n".join(_format_tables(result)).strip(),
        "## Limitations",
        _format_list(_describe_limitations(result)),
        "## Training",
        _format_list(f"{name}: {text}" for name, text in collect_run_facts(metrics).items()),
        "## Licence",
        _format_list(
            (
                "Code: Apache-2.0.",
                f"Data: {data.source.licence}.",
                "Weights: those who trained them decide, within the terms of the data and of any initial weights.",
            )
        ),
        "## Citation",
        _format_list(filter(None, ("This software: CITATION.cff of lss_lightning.", _PAPER, data.source.citation))),
    )
    result.run_folder.model_card.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _describe_size(about: Mapping[str, Any]) -> str:
    return f"{format_count(about['images'], 'slice')} of {format_count(about['patients'], 'patient')}"


def _format_list(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _describe_data(data: SliceDataModule, context: EvaluationContext, *, is_best: bool) -> Iterator[str]:
    yield f"Data: {context.dataset}, {context.split_description}."
    for part in PARTS:
        slices = data.part(part)
        if slices:
            patients = {loaded.slice.patient for loaded in slices}
            yield f"Part {part}: {format_count(len(slices), 'slice')} of {format_count(len(patients), 'patient')}."
    selecting = (
        f"the part {data.split.selection_part}" if is_best else "nothing, the weights are those of the last epoch"
    )
    yield f"Selected by: {selecting}."


def _format_tables(result: EvaluationResult) -> Iterator[str]:
    overlap, *others = make_score_tables(result.metrics, result.labels)
    for table in (overlap, *(table for table in others if table.topic in ("boundary", "failures"))):
        yield from table.to_markdown()


def _describe_limitations(result: EvaluationResult) -> Iterator[str]:
    about, failures, labels = result.metrics["data"], result.metrics["failures"], result.labels
    yield from about["remarks"]
    yield (
        f"Tested on {_describe_size(about)} of the data set that it was trained on. The performance on other scanners, "
        "sequences, hospitals or diseases is unknown, as are differences by age or sex."
    )
    if about["patients"] > 1:
        yield (
            "The intervals are over these patients and for this one training. Another seed or split gives other scores."
        )
    else:
        yield "Only one patient was tested, so there is no interval."
    for index in labels.anatomical:
        key, name = labels.keys[index], labels[index].name
        counts = [f"{kind} in {failures[kind][key]}" for kind in ("missed", "invented") if failures[kind][key]]
        if counts:
            yield f"{name}: {' and '.join(counts)} of {about['images']} test slices."
