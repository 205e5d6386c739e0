"""``model-card.md`` beside a run's best checkpoint, after Mitchell et al., *Model cards for model reporting*, 2019."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.splits import PARTS
from lss_lightning.display import counted
from lss_lightning.files import sha256
from lss_lightning.labels import LabelSet
from lss_lightning.reporting.scores import score_tables
from lss_lightning.workflows.evaluation.context import EvaluationContext
from lss_lightning.workflows.evaluation.facts import run_facts

_PAPER = (
    "S. Altun, A. Alkan, *Lumbar Spinal Stenosis Analysis with Deep Learning Based Decision Support Systems*, Gazi "
    "University Journal of Science 36(3), 2023."
)


def write_model_card(
    path: Path,
    checkpoint: Path,
    metrics: Mapping[str, Any],
    labels: LabelSet,
    data: SliceDataModule,
    context: EvaluationContext,
) -> None:
    """Write what a stranger must know of a checkpoint before using it.

    Args:
        path: The Markdown file.
        checkpoint: The file it is about.
        metrics: The run's ``metrics.json``.
        labels: The classes.
        data: That trained and tested it.
        context: What was tested.
    """
    about = {"File": f"`{checkpoint.name}`, SHA-256 `{sha256(checkpoint)}`", **context.facts}
    anatomy = ", ".join(labels[index].name for index in labels.anatomical)
    parts = (
        f"# Model card: {context.name}",
        f"**{context.disclaimer} Not a medical device.**",
        "## Model",
        _listed(f"{name}: {text}" for name, text in about.items()),
        "## Intended use",
        f"Research into the segmentation of {anatomy}: to develop, compare and teach methods, on images prepared as "
        "its training data was. It is not meant for diagnosis, for planning a treatment, or for any decision about a "
        "patient.",
        f"`python evaluate.py ckpt_path={checkpoint.name}` tests it on labelled slices; `data=…` names others. "
        f"`python predict.py ckpt_path={checkpoint.name} input=… output=…` segments images that have none.",
        "## Data and protocol",
        _listed(_data(data, context)),
        "## Figures",
        f"{context.dataset}, {context.part}, {context.division}: {_size(metrics['data'])}.",
        "\n".join(_tables(metrics, labels)).strip(),
        "## Limits",
        _listed(_limits(metrics, labels)),
        "## Training",
        _listed(f"{name}: {text}" for name, text in run_facts(metrics).items()),
        "## Licence",
        _listed(
            (
                "Code: Apache-2.0.",
                f"Data: {data.source.licence}.",
                "Weights: for those who trained them to decide, within the terms of the data and of weights they began "
                "from.",
            )
        ),
        "## Citation",
        _listed(filter(None, ("This software: CITATION.cff of lss_lightning.", _PAPER, data.source.citation))),
    )
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _size(about: Mapping[str, Any]) -> str:
    return f"{counted(about['images'], 'slice')} of {counted(about['patients'], 'patient')}"


def _listed(sentences: Iterable[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _data(data: SliceDataModule, context: EvaluationContext) -> Iterator[str]:
    yield f"Data: {context.dataset}, {context.division}."
    for part in PARTS:
        slices = data.part(part)
        if slices:
            patients = {piece.slice.patient for piece in slices}
            yield f"Part {part}: {counted(len(slices), 'slice')} of {counted(len(patients), 'patient')}."
    selecting = data.split.selecting_part
    yield "Selected by: " + ("nothing, it is the last epoch." if selecting is None else f"the part {selecting}.")


def _tables(metrics: Mapping[str, Any], labels: LabelSet) -> Iterator[str]:
    overlap, *others = score_tables(metrics, labels)
    for table in (overlap, *(table for table in others if table.topic in ("boundary", "failures"))):
        yield from table.markdown()


def _limits(metrics: Mapping[str, Any], labels: LabelSet) -> Iterator[str]:
    about = metrics["data"]
    yield from about["remarks"]
    yield (
        f"Tested on {_size(about)} of the data set that it was trained on: "
        "nothing is known of other scanners, sequences, hospitals or diseases, nor of differences by age or sex."
    )
    if about["patients"] > 1:
        yield (
            "The intervals are over these patients and hold for this one training: another seed, or another division "
            "of the data, gives other figures."
        )
    else:
        yield "A single patient was tested, so there is no interval."
    failures = metrics["failures"]
    for index in labels.anatomical:
        key, name = labels.keys[index], labels[index].name
        found = [f"{kind} in {failures[kind][key]}" for kind in ("missed", "invented") if failures[kind][key]]
        if found:
            yield f"{name}: {' and '.join(found)} of {about['images']} test slices."
