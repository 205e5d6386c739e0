"""Test a network on the part that tests, and write what the run's folder keeps of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from rich.console import Console

from lss_lightning.data.batches import SliceDataset, collate
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.metrics import iou, mean_defined, summarise
from lss_lightning.models.segmenter import Segmenter
from lss_lightning.reporting.confusion import plot_confusion
from lss_lightning.reporting.examples import Case, plot_examples
from lss_lightning.reporting.tables import print_table, write_table2

METRICS_SCHEMA = 1


@dataclass(frozen=True)
class Subject:
    """What is tested, as every page says it.

    Attributes:
        name: Of the run.
        checkpoint: The file that holds the weights.
        dataset: Name of the data source.
        subset: ``train``, ``val``, ``test`` or ``all``.
        protocol: The split's, or ``external`` where the data is not what the checkpoint's run divided.
        remarks: What else a reader must know: stamps of the protocol, slices left out.
        disclaimer: The data source's.
        excluded_seen: Slices left out because the checkpoint was trained or selected on them.
    """

    name: str
    checkpoint: Path
    dataset: str
    subset: str
    protocol: str
    disclaimer: str
    remarks: tuple[str, ...] = ()
    excluded_seen: int = 0

    def caption(self, slices: Sequence[LoadedSlice], convention: str = "") -> str:
        """The line under a figure or table; ``convention`` says how its figures are pooled."""
        patients = len({piece.slice.patient for piece in slices})
        here = Path.cwd()
        shown = self.checkpoint.relative_to(here) if self.checkpoint.is_relative_to(here) else self.checkpoint
        parts = (
            f"{self.dataset}, {self.subset} part, split {self.protocol}: {patients} patients, {len(slices)} slices.",
            f"{self.name}, {shown}.",
            convention,
            *self.remarks,
            self.disclaimer,
        )
        return " ".join(part for part in parts if part)


def test_and_report(
    trainer: pl.Trainer,
    segmenter: Segmenter,
    data: SliceDataModule,
    subject: Subject,
    folder: Path,
    more: dict[str, Any],
) -> None:
    """Test the ``test`` part of the data, print the scores, and write ``metrics.json`` and the report.

    Args:
        trainer: Its devices share the slices.
        segmenter: The network.
        data: Set up; its ``test`` part is what is tested.
        subject: What is tested.
        folder: Where ``metrics.json`` and ``report/`` go.
        more: Further parts of ``metrics.json``.
    """
    trainer.test(segmenter, data, verbose=False)
    if not trainer.is_global_zero:
        return
    assert segmenter.test_counts is not None
    indices, counts = segmenter.test_counts
    part = data.part("test")
    slices = [part[index] for index in indices]
    if len(slices) < len(part):
        cut = f"Only {len(slices)} of {len(part)} slices tested (trainer.limit_test_batches)."
        subject = replace(subject, remarks=(*subject.remarks, cut))
    metrics = {
        "schema": METRICS_SCHEMA,
        "data": _about(subject, slices, data.spacing),
        **summarise(counts, [piece.slice.patient for piece in slices], segmenter.labels),
        **more,
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n")

    report = folder / "report"
    report.mkdir(exist_ok=True)
    labels, pooled = segmenter.labels, "Pooled: counts summed over all slices."
    write_table2(metrics, labels, report, name=f"Ours: {subject.name}", caption=subject.caption(slices))
    plot_confusion(counts.sum(axis=0), labels, report / "confusion.png", caption=subject.caption(slices, pooled))
    cases = _cases(segmenter, slices, counts, data.spacing)
    plot_examples(cases, labels, report / "examples.png", caption=subject.caption(slices, "IoU of the single slice."))
    print_table(
        metrics, labels, title=f"{subject.name}: {subject.subset} part", caption=subject.caption(slices, pooled)
    )


def _about(subject: Subject, slices: Sequence[LoadedSlice], spacing: float | None) -> dict[str, Any]:
    return {
        "name": subject.dataset,
        "subset": subject.subset,
        "protocol": subject.protocol,
        "images": len(slices),
        "patients": len({piece.slice.patient for piece in slices}),
        "excluded_seen": subject.excluded_seen,
        "spacing_mm": spacing,
        "remarks": list(subject.remarks),
        "disclaimer": subject.disclaimer,
    }


def _cases(
    segmenter: Segmenter, slices: Sequence[LoadedSlice], counts: NDArray[np.int64], spacing: float | None
) -> list[Case]:
    """The best, median and worst slice by mean IoU over the anatomical classes, segmented once more."""
    scores = mean_defined(iou(counts)[:, list(segmenter.labels.anatomical)])
    order = [int(index) for index in np.argsort(-scores) if not np.isnan(scores[index])]
    chosen = {"Best": order[0], "Median": order[len(order) // 2], "Worst": order[-1]} if order else {}
    if len(order) < 3:
        chosen = dict(zip(("Best", "Worst"), order, strict=False))
    segmenter.eval()
    cases = []
    for rank, index in chosen.items():
        piece = slices[index]
        dataset = SliceDataset([piece], spacing, label_on_working_grid=False)
        prediction = segmenter.segment(collate([dataset[0]]))[0]
        title = f"{rank}: patient {piece.slice.patient}, {piece.slice.level}"
        shown = piece.image if len(piece.image) == 3 else piece.image[:1]
        cases.append(Case(title, shown.transpose(1, 2, 0), piece.label, prediction, float(scores[index])))
    return cases


def show_files(folder: Path) -> None:
    """Print where the results lie."""
    console = Console()
    shown = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    for path in [shown / "metrics.json", *sorted((shown / "report").iterdir())]:
        console.print(str(path), highlight=False, soft_wrap=True)
