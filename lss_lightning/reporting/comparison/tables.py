"""The paper's three tables with runs of this project beside it, and what the runs cost."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.reporting.comparison.result import RunResult
from lss_lightning.reporting.page import Table
from lss_lightning.reporting.paper import TABLE_1, TABLE_2, TABLE_3
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import table2_rows

Settings = Mapping[str, Any]


def runs_table(results: Sequence[RunResult], labels: LabelSet) -> Table:
    """What each column of Table 2 is: data, split, images, and how its IoU is computed, as far as that is known."""
    paper = TABLE_2 if labels.keys == LUMBAR.keys else ()
    rows = [[work.name, "Al-Kafri", work.split, "not stated", "not stated", MISSING] for work in paper]
    for result in results:
        data = result.metrics["data"]
        protocol = f"{data['protocol']}, {data['subset']}"
        rows.append([result.name, data["name"], protocol, result.tested, "pooled over slices", result.checkpoint])
    columns = ["Column", "Data", "Split, part", "Tested on", "IoU", "Checkpoint"]
    return Table(columns, rows, "What the columns are")


def table2(results: Sequence[RunResult], labels: LabelSet, caption: str) -> Table:
    """IoU by class: for the paper's classes its Table 2 first, then each run with its 95 % interval."""
    heading, *rows = table2_rows({result.name: result.metrics for result in results}, labels)
    return Table(heading, rows[: len(labels)], caption, foot=rows[len(labels) :])


def table1(results: Sequence[RunResult], caption: str) -> Table:
    """The settings of every run beside those that the paper tried and chose."""
    rows = []
    for name, read in _SETTINGS.items():
        ours = [MISSING if result.settings is None else read(result.settings, result.metrics) for result in results]
        rows.append([name, *TABLE_1.get(name, (MISSING, MISSING)), *ours])
    return Table(["Setting", "Paper: tried", "Paper: chosen", *(result.name for result in results)], rows, caption)


def table3() -> Table:
    """Related work as the paper's Table 3 quotes it."""
    rows = [[related.work, related.method, related.result, related.why_not] for related in TABLE_3]
    caption = "The paper's Table 3: related work, not comparable with one another or with any figure of this page"
    return Table(["Work", "Method", "Result as quoted", "Why it is not comparable"], rows, caption)


def cost_table(results: Sequence[RunResult], caption: str) -> Table:
    """Parameters, epochs, time and hardware of each run."""
    columns = ["Run", "Parameters, millions", "Epochs", "Tested epoch", "Training time", "Per epoch, s", "On"]
    return Table(columns, [_cost(result) for result in results], caption)


def write_csv(table: Table, path: Path, note: str) -> None:
    """Write a table's cells as CSV, with a note in its last line."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([table.columns, *table.rows, *table.foot])
        writer.writerow([f"# {note}"])


def _cost(result: RunResult) -> list[str]:
    timing, hardware = result.metrics.get("timing", {}), result.metrics.get("hardware")
    epochs, seconds = timing.get("epochs"), timing.get("train_seconds")
    tested = result.metrics.get("validation", {}).get("epoch")
    place = MISSING
    if hardware is not None:
        place = f"{hardware['processes']} × {hardware['device']}, {hardware['precision']}"
    return [
        result.name,
        MISSING if result.parameters is None else f"{result.parameters / 1e6:.2f}",
        MISSING if epochs is None else str(epochs),
        MISSING if tested is None else str(tested),
        MISSING if seconds is None else str(timedelta(seconds=round(seconds))),
        MISSING if not epochs else f"{seconds / epochs:.3g}",
        place,
    ]


def _kind(section: Settings) -> str:
    target = section.get("_target_")
    return "none" if target is None else str(target).rpartition(".")[2]


def _batch(settings: Settings, metrics: Mapping[str, Any]) -> str:
    processes = metrics.get("hardware", {}).get("processes", 1)
    return str(settings["data"]["batch_size"] * processes * settings["trainer"]["accumulate_grad_batches"])


def _loss(settings: Settings, metrics: Mapping[str, Any]) -> str:
    weights = settings["loss"]["class_weights"]
    return _kind(settings["loss"]) + ("" if weights == "none" else f", {weights} class weights")


def _split(settings: Settings, metrics: Mapping[str, Any]) -> str:
    given = {key: value for key, value in settings["split"].items() if key not in ("_target_", "content")}
    shown = ", ".join(f"{key} {value}" for key, value in given.items() if value is not None and value is not False)
    kind = _kind(settings["split"]).removesuffix("Split")
    return f"{kind}: {shown}" if shown else kind


def _augmentation(settings: Settings, metrics: Mapping[str, Any]) -> str:
    nothing = asdict(AugmentationConfig())
    given = {key: value for key, value in settings["augmentation"].items() if value != nothing.get(key)}
    return ", ".join(f"{key} {value:g}" for key, value in given.items()) or "none"


def _pixel(settings: Settings, metrics: Mapping[str, Any]) -> str:
    spacing = metrics["data"]["spacing_mm"]
    return "native" if spacing is None else f"{spacing:.4g} mm"


_SETTINGS: dict[str, Callable[[Settings, Mapping[str, Any]], str]] = {
    "Model": lambda settings, metrics: settings["model"]["name"],
    "Encoder": lambda settings, metrics: settings["encoder"]["name"],
    "Initial weights": lambda settings, metrics: {False: "random", True: "ImageNet"}.get(
        settings["model"]["pretrained"], "a file"
    ),
    "Up-sampling": lambda settings, metrics: settings["model"]["upsampling"],
    "Channels": lambda settings, metrics: settings["data"]["channels"],
    "Pixel": _pixel,
    "Augmentation": _augmentation,
    "Optimizer": lambda settings, metrics: _kind(settings["optimizer"]),
    "Learning rate": lambda settings, metrics: f"{settings['optimizer']['lr']:g}",
    "Weight decay": lambda settings, metrics: f"{settings['optimizer'].get('weight_decay', 0):g}",
    "Schedule": lambda settings, metrics: _kind(settings["scheduler"]),
    "Batch size": _batch,
    "Epochs": lambda settings, metrics: str(settings["trainer"]["max_epochs"]),
    "Loss": _loss,
    "Split": _split,
    "Seed": lambda settings, metrics: str(settings["seed"]),
}
"""What Table 1 says of a run, read off its configuration and ``metrics.json``."""
