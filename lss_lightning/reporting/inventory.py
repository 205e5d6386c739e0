"""An inventory of a data set: tables on the terminal, and a contact sheet of its slices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lss_lightning.labels import Label, LabelSet
from lss_lightning.reporting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

MOST = 24
"""Slices on a contact sheet."""

_COLUMNS = 4
_TITLE = 22  # characters that fit above a panel
_NAMED = 5  # of the cases of a finding; the file has them all


@dataclass(frozen=True)
class InventoryPanel:
    """One slice of a contact sheet.

    Attributes:
        title: What it is, e.g. ``0001 D4``.
        image: (H, W, C), uint8.
        label: (H, W), uint8, class indices.
    """

    title: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]


def print_inventory(
    inventory: Mapping[str, Any], labels: LabelSet, *, title: str, console: Console | None = None
) -> None:
    """Print what a data set holds, its classes, and what is wrong with it.

    Args:
        inventory: As in ``inventory.json``.
        labels: The classes.
        title: Which data it is.
        console: Where to print; None is the terminal.
    """
    console = console or Console()
    console.print(Text(title, style="bold"), soft_wrap=True)  # whole, so that its path can be copied
    console.print(_overview(inventory))
    console.print(_classes(inventory, labels))
    console.print(_findings(inventory))
    for note in inventory["notes"]:
        console.print(Text(f"Note: {note}."), soft_wrap=True)


def plot_contact_sheet(panels: Sequence[InventoryPanel], labels: LabelSet, path: Path, *, caption: str) -> None:
    """Write :func:`draw_contact_sheet` to a PNG file."""
    with style.look():
        style.save(draw_contact_sheet(panels, labels, caption=caption), path)


def draw_contact_sheet(panels: Sequence[InventoryPanel], labels: LabelSet, *, caption: str) -> Figure:
    """Draw slices in a grid, grey, each class outlined in its colour, but for the one that fills most of the labels.

    Args:
        panels: From left to right, then from top to bottom; at least one.
        labels: The classes.
        caption: Stands beneath the figure.
    """
    with style.look():
        rows = -(-len(panels) // _COLUMNS)
        outlined = _outlined(panels, labels)
        legend = style.legend_size([label.name for label in outlined.values()])
        figure, body = style.new_figure(1.95 * rows + legend.height, caption)
        grid = body.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, panel in zip(grid, panels, strict=False):
            _draw(axes, panel, outlined)
        _legend(body, outlined.values(), legend.columns)
        return figure


def _outlined(panels: Sequence[InventoryPanel], labels: LabelSet) -> dict[int, Label]:
    """The classes to outline, by index."""
    pixels = sum(np.bincount(panel.label.ravel(), minlength=len(labels)) for panel in panels)
    background = int(np.argmax(pixels))
    return {index: label for index, label in enumerate(labels) if index != background}


def _draw(axes: Axes, panel: InventoryPanel, outlined: Mapping[int, Label]) -> None:
    axes.set_title(_shortened(panel.title), fontsize=style.SMALLEST)
    grey = panel.image.mean(axis=-1)
    axes.imshow(grey, cmap="gray", vmin=0, vmax=max(float(np.percentile(grey, 99)), 1.0))
    height, width = panel.label.shape
    across, down = np.arange(-1, width + 1), np.arange(-1, height + 1)
    # One pixel of nothing around them, so that a region at the border is outlined there too.
    masks = [(label.colour, np.pad(panel.label == index, 1)) for index, label in outlined.items()]
    # The smallest last, because neighbours share a line.
    for colour, mask in sorted(masks, key=lambda item: -item[1].sum()):
        if mask.any():
            axes.contour(across, down, mask, levels=[0.5], colors=[colour], linewidths=0.7)


def _shortened(title: str) -> str:
    """A title that fits above a panel; of a longer one, as files may give it, its two ends."""
    half = _TITLE // 2
    return title if len(title) <= _TITLE else f"{title[:half]}…{title[-half:]}"


def _legend(body: SubFigure, labels: Iterable[Label], columns: int) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=label.colour, label=label.name) for label in labels]
    body.legend(handles=lines, loc="outside lower center", ncols=columns)


def _overview(inventory: Mapping[str, Any]) -> Table:
    table = Table(show_header=False)
    channels = inventory["data"]["channels"]
    table.add_row("Labels", f"{inventory['labels']:,}")
    table.add_row("Slices", f"{inventory['slices']:,} with all images that data.channels={channels} needs")
    table.add_row("Patients", f"{inventory['patients']:,}")
    table.add_row("Images", _counts(inventory["images"]))
    if inventory["levels"]:
        table.add_row("Levels", _counts(inventory["levels"]))
    table.add_row("Sizes", "\n".join(map(_size, inventory["sizes"])))
    if inventory["split"]:
        shared = inventory["split"]["patients_in_train_and_test"]
        parts = ", ".join(f"{part} {inventory['split'][part]:,}" for part in ("train", "val", "test"))
        if unnamed := inventory["split"]["in_no_part"]:
            parts += f", in no part {unnamed:,}"
        table.add_row("Split", f"{parts}; patients both in train and in test: {shared:,}")
    return table


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in counts.items())


def _size(size: Mapping[str, Any]) -> str:
    spacing = "unknown pixel size" if size["spacing_mm"] is None else f"{size['spacing_mm']:.4g} mm pixels"
    return f"{size['width']} × {size['height']}, {spacing}: {size['slices']:,}"


def _classes(inventory: Mapping[str, Any], labels: LabelSet) -> Table:
    table = Table(
        "Class",
        title=Text("Classes", style="bold"),
        caption=Text(f"Share of the pixels, mean over {inventory['labels_counted']:,} labels."),
        caption_justify="left",
    )
    table.add_column("Code", justify="right")
    table.add_column("Mean share", justify="right")
    table.add_column("In labels", justify="right")
    for label in labels:
        held = inventory["classes"][label.key]
        share = style.MISSING if held["mean_share"] is None else f"{100 * held['mean_share']:.2f} %"
        table.add_row(Text(label.name), str(label.code), share, f"{held['labels']:,}")
    return table


def _findings(inventory: Mapping[str, Any]) -> Table:
    table = Table("Looked for", title=Text("Findings", style="bold"), show_lines=True)
    table.add_column("Found", justify="right")
    table.add_column("Where")

    def add(what: str, cases: Iterable[str]) -> None:
        named = list(cases)
        table.add_row(what, f"{len(named):,}", Text("\n".join(_first(named))))

    left_out, incomplete = inventory["left_out"], list(inventory["incomplete_slices"])
    reasons = [f"{count:,} × {reason}" for reason, count in left_out.items()]
    table.add_row("Slices left out", f"{sum(left_out.values()):,}", Text("\n".join([*reasons, *_first(incomplete)])))
    add("Broken files", (f"{entry['file']}: {entry['problem']}" for entry in inventory["broken"]))
    add("Labels with unknown codes", map(_codes, inventory["unknown_codes"]))
    add("Exact duplicates", map(_duplicate, inventory["duplicates"]))
    if inventory["levels"]:
        few = inventory["incomplete_patients"].items()
        add("Patients with fewer than three levels", (f"{patient}: {', '.join(levels)}" for patient, levels in few))
    if "unregistered" in inventory["classes"]:
        inside = inventory["unregistered_inside"]
        where = (f"{found['slice']}: {found['pixels']:,} px" for found in inside)
        add("Labels with Unregistered pixels away from the border", where)
    return table


def _first(cases: list[str]) -> list[str]:
    return [*cases[:_NAMED], *(["… all in inventory.json"] if len(cases) > _NAMED else [])]


def _codes(entry: Mapping[str, Any]) -> str:
    codes = ", ".join(f"{code} ({count:,} px)" for code, count in entry["pixels_by_code"].items())
    return f"{entry['file']}: {codes}"


def _duplicate(entry: Mapping[str, Any]) -> str:
    crossing = {True: "; IN DIFFERENT PARTS OF THE SPLIT", False: "", None: ""}[entry["crosses_split"]]
    return f"{', '.join(entry['slices'])}: {', '.join(entry['kinds'])}{crossing}"
