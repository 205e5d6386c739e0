"""Test a network on the part that tests, and write what the run's folder keeps of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from numpy.typing import NDArray
from rich.console import Console
from torch.utils.data import DataLoader

from lss_lightning.data.alkafri_layout import LEVELS
from lss_lightning.data.batches import SliceDataset, collate
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.loading import LoadedSlice
from lss_lightning.errors import UserError
from lss_lightning.metrics import Records, iou, mean_defined, summarise
from lss_lightning.models.segmenter import Segmenter
from lss_lightning.reporting import Case
from lss_lightning.workflows.pages import COUNTS, save_counts, write_pages
from lss_lightning.workflows.subject import Subject, shown_path

METRICS_SCHEMA = 1


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

    Raises:
        UserError: there is no slice to test, or the network's output for one is not finite.
    """
    part, what = data.part("test"), f"{subject.dataset}, {subject.part}"
    if not part:
        raise UserError(f"{what}: it is empty, so there is nothing to test; give other data, another subset or split")
    try:
        trainer.test(segmenter, data, verbose=False)
    except pl.utilities.exceptions.MisconfigurationException as error:
        raise UserError(f"{what}: {len(part)} slices cannot be tested as set ({error})") from error
    records = segmenter.records
    assert records is not None
    slices = [part[index] for index in records.indices]
    _refuse_broken(slices, records, subject)
    if len(slices) < len(part):
        cut = f"Only {len(slices)} of {len(part)} slices tested (trainer.limit_test_batches)."
        subject = replace(subject, remarks=(*subject.remarks, cut))
    cases = _cases(trainer, segmenter, slices, records.counts, data.spacing)
    if not trainer.is_global_zero:
        return
    metrics = {
        "schema": METRICS_SCHEMA,
        "data": subject.about(slices, data.spacing),
        **summarise(
            records,
            patients=[piece.slice.patient for piece in slices],
            spacings=[piece.spacing for piece in slices],
            labels=segmenter.labels,
            # What other data calls a level may be a name of the single slice.
            columns={"level": [piece.slice.level if piece.slice.level in LEVELS else None for piece in slices]},
        ),
        **more,
    }
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    save_counts(folder / COUNTS, slices, records)
    write_pages(folder, metrics, records, slices, cases, segmenter.labels, subject)


def _refuse_broken(slices: Sequence[LoadedSlice], records: Records, subject: Subject) -> None:
    """Refuse figures where the network's output is not finite.

    Raises:
        UserError: it is not for some slice.
    """
    broken = [piece.slice.name for piece, finite in zip(slices, records.finite, strict=True) if not finite]
    if broken:
        several = f" and {len(broken) - 1} more of {len(slices)} slices" if len(broken) > 1 else ""
        raise UserError(
            f"slice {broken[0]}{several}: {shown_path(subject.checkpoint)} gives NaN or infinity there, so nothing "
            "can be scored; use an earlier checkpoint, or trainer.precision=32-true if 16-mixed was set"
        )


def _cases(
    trainer: pl.Trainer,
    segmenter: Segmenter,
    slices: Sequence[LoadedSlice],
    counts: NDArray[np.int64],
    spacing: float | None,
) -> list[Case]:
    """The best, median and worst slice by mean IoU over the anatomical classes, segmented once more."""
    scores = mean_defined(iou(counts)[:, list(segmenter.labels.anatomical)])
    order = [int(index) for index in np.argsort(-scores) if not np.isnan(scores[index])]
    if len(order) >= 3:
        chosen = {"Best": order[0], "Median": order[len(order) // 2], "Worst": order[-1]}
    else:
        chosen = dict(zip(("Best", "Worst"), order, strict=False))
    shown = [slices[index] for index in chosen.values()]
    # Through the trainer, for the precision and device of the test.
    loader = DataLoader(SliceDataset(shown, spacing, label_on_working_grid=False), collate_fn=collate)
    predictions = trainer.predict(segmenter, loader) or []
    return [
        Case(
            title=f"{rank}: patient {piece.slice.title}",
            image=(piece.image if len(piece.image) == 3 else piece.image[:1]).transpose(1, 2, 0),
            label=piece.label,
            prediction=maps[0],
            iou=float(scores[index]),
        )
        for (rank, index), piece, maps in zip(chosen.items(), shown, predictions, strict=True)
    ]


def show_files(folder: Path) -> None:
    """Print where the results lie."""
    console = Console()
    for path in [folder / "metrics.json", *sorted((folder / "report").iterdir())]:
        console.print(str(shown_path(path)), highlight=False, soft_wrap=True)
