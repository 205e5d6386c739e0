"""Tables 1 to 3 of the paper, the first two with columns for our runs, and a table of the cost of the runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

from lss_lightning.data.augment import AugmentationConfig
from lss_lightning.files import write_csv
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.reporting.comparison.run_result import RunResult
from lss_lightning.reporting.page import Table
from lss_lightning.reporting.paper import TABLE_1, TABLE_2, TABLE_3
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import Metrics, make_table2_rows

Settings = Mapping[str, Any]
"""The configuration of a training run as plain data."""


def make_runs_table(results: Sequence[RunResult], labels: LabelSet) -> Table:
    """Make a table of the data, split, test images and IoU convention of each column of Table 2, where known.

    Args:
        results: The runs.
        labels: The classes. If they are the classes of the paper, its columns come first.
    """
    paper = TABLE_2 if labels.keys == LUMBAR.keys else ()
    rows = [[work.name, "Al-Kafri", work.split, "not stated", "not stated", MISSING] for work in paper]
    for result in results:
        data = result.metrics["data"]
        protocol = f"{data['protocol']}, {data['subset']}"
        rows.append([result.name, data["name"], protocol, result.test_set, "pooled over slices", result.checkpoint])
    columns = ["Column", "Data", "Split, part", "Tested on", "IoU", "Checkpoint"]
    return Table(columns, rows, "The columns of Table 2")


def make_table2(results: Sequence[RunResult], labels: LabelSet, caption: str) -> Table:
    """Make Table 2: the IoU by class of each run with 95 % CIs, beside the paper's IoU if the classes match.

    Args:
        results: The runs.
        labels: The classes.
        caption: Caption of the table.
    """
    heading, *rows = make_table2_rows({result.name: result.metrics for result in results}, labels)
    return Table(heading, rows[: len(labels)], caption, foot=rows[len(labels) :])


def make_table1(results: Sequence[RunResult], caption: str) -> Table:
    """Make Table 1: the settings tried and chosen in the paper, and the settings of each run."""
    rows = []
    for name, read in _SETTINGS.items():
        ours = [MISSING if result.settings is None else read(result.settings, result.metrics) for result in results]
        rows.append([name, *TABLE_1.get(name, (MISSING, MISSING)), *ours])
    return Table(["Setting", "Paper: tried", "Paper: chosen", *(result.name for result in results)], rows, caption)


def make_table3() -> Table:
    """Make Table 3: related work, as quoted in the paper."""
    rows = [[work.work, work.method, work.result, work.caveat] for work in TABLE_3]
    caption = "Table 3 of the paper: related work, whose results are not comparable with each other or with this page"
    return Table(["Work", "Method", "Result as quoted", "Why it is not comparable"], rows, caption)


def make_cost_table(results: Sequence[RunResult], caption: str) -> Table:
    """Make a table of the parameters, epochs, training time and hardware of each run."""
    columns = ["Run", "Parameters, millions", "Epochs", "Tested epoch", "Training time", "Per epoch, s", "Hardware"]
    return Table(columns, [_make_cost_row(result) for result in results], caption)


def write_table_csv(table: Table, path: Path, note: str) -> None:
    """Write the cells of a table as CSV.

    Args:
        table: The table.
        path: CSV file to write.
        note: Text of the last line of the file.
    """
    write_csv(path, table.columns, [*table.rows, *table.foot, [f"# {note}"]])


def _make_cost_row(result: RunResult) -> list[str]:
    timing, hardware = result.metrics.get("timing", {}), result.metrics.get("hardware")
    epochs, seconds = timing.get("epochs"), timing.get("train_seconds")
    epoch = result.metrics.get("validation", {}).get("epoch")
    devices = MISSING
    if hardware is not None:
        devices = f"{hardware['processes']} × {hardware['device']}, {hardware['precision']}"
    return [
        result.name,
        MISSING if result.parameters is None else f"{result.parameters / 1e6:.2f}",
        MISSING if epochs is None else str(epochs),
        MISSING if epoch is None else str(epoch),
        MISSING if seconds is None else str(timedelta(seconds=round(seconds))),
        MISSING if not epochs else f"{seconds / epochs:.3g}",
        devices,
    ]


def _format_class(section: Settings) -> str:
    target = section.get("_target_")
    return "none" if target is None else str(target).rpartition(".")[2]


def _format_batch_size(settings: Settings, metrics: Metrics) -> str:
    processes = metrics.get("hardware", {}).get("processes", 1)
    return str(settings["data"]["batch_size"] * processes * settings["trainer"]["accumulate_grad_batches"])


def _format_rate(settings: Settings, metrics: Metrics) -> str:
    rate = settings["optimizer"].get("lr")
    return MISSING if rate is None else f"{rate:g}"


def _format_loss(settings: Settings, metrics: Metrics) -> str:
    weights = settings["loss"].get("class_weights", "none")
    return _format_class(settings["loss"]) + ("" if weights == "none" else f", {weights} class weights")


def _format_split(settings: Settings, metrics: Metrics) -> str:
    entries = {key: value for key, value in settings["split"].items() if key not in ("_target_", "content")}
    text = ", ".join(f"{key} {value}" for key, value in entries.items() if value is not None and value is not False)
    kind = _format_class(settings["split"]).removesuffix("Split")
    return f"{kind}: {text}" if text else kind


def _format_augmentation(settings: Settings, metrics: Metrics) -> str:
    disabled = asdict(AugmentationConfig())
    enabled = {key: value for key, value in settings["augmentation"].items() if value != disabled.get(key)}
    return ", ".join(f"{key} {value:g}" for key, value in enabled.items()) or "none"


def _format_spacing(settings: Settings, metrics: Metrics) -> str:
    spacing = metrics["data"]["spacing_mm"]
    return "native" if spacing is None else f"{spacing:.4g} mm"


def describe_initial_weights(model: Settings) -> str:
    """Describe the initial weights of a network, given its ``model`` section."""
    pretrained = model.get("pretrained", {})
    if isinstance(pretrained, Mapping):
        if not pretrained:
            return "as its class sets them"
        return ", ".join(f"{key} {value}" for key, value in pretrained.items() if value) or "random"
    return {False: "random", True: "ImageNet"}.get(pretrained, "a file")


_SETTINGS: dict[str, Callable[[Settings, Metrics], str]] = {
    "Model": lambda settings, metrics: settings["model"]["name"],
    "Encoder": lambda settings, metrics: settings["encoder"]["name"] or MISSING,
    "Initial weights": lambda settings, metrics: describe_initial_weights(settings["model"]),
    "Upsampling": lambda settings, metrics: settings["model"].get("upsampling", MISSING),
    "Channels": lambda settings, metrics: settings["data"]["channels"],
    "Working spacing": _format_spacing,
    "Augmentation": _format_augmentation,
    "Optimizer": lambda settings, metrics: _format_class(settings["optimizer"]),
    "Learning rate": _format_rate,
    "Weight decay": lambda settings, metrics: f"{settings['optimizer'].get('weight_decay', 0):g}",
    "Learning-rate schedule": lambda settings, metrics: _format_class(settings["scheduler"]),
    "Batch size": _format_batch_size,
    "Epochs": lambda settings, metrics: str(settings["trainer"]["max_epochs"]),
    "Loss": _format_loss,
    "Split": _format_split,
    "Seed": lambda settings, metrics: str(settings["seed"]),
}
"""Rows of Table 1: functions that format a setting of a run, given its configuration and ``metrics.json``."""
