"""The inventory of a data set: tables on the terminal and a contact sheet of slices."""

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

MAX_PANELS = 24
"""Maximum number of slices on a contact sheet."""

_COLUMNS = 4
_TITLE_LENGTH = 22  # characters that fit above a panel
_MAX_LISTED = 5  # cases printed per finding; inventory.json lists all


@dataclass(frozen=True)
class InventoryPanel:
    """A slice on a contact sheet.

    Attributes:
        title: Title of the panel, e.g. ``0001 D4``.
        image: The image, (H, W, C), uint8.
        label: The label map, (H, W), uint8, class indices.
    """

    title: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]


def print_inventory(
    inventory: Mapping[str, Any], labels: LabelSet, *, title: str, console: Console | None = None
) -> None:
    """Print the contents of a data set, its classes, and its problems.

    Args:
        inventory: Content of ``inventory.json``.
        labels: The classes.
        title: Title with the name of the data set.
        console: Console to print to; by default the terminal.
    """
    console = console or Console()
    console.print(Text(title, style="bold"), soft_wrap=True)  # unbroken, so that the path can be copied
    console.print(_make_overview(inventory))
    console.print(_make_class_table(inventory, labels))
    console.print(_make_findings_table(inventory))
    for note in inventory["notes"]:
        console.print(Text(f"Note: {note}."), soft_wrap=True)


def plot_contact_sheet(panels: Sequence[InventoryPanel], labels: LabelSet, path: Path, *, caption: str) -> None:
    """Write the figure of :func:`draw_contact_sheet` to a PNG file."""
    with style.context():
        style.save(draw_contact_sheet(panels, labels, caption=caption), path)


def draw_contact_sheet(panels: Sequence[InventoryPanel], labels: LabelSet, *, caption: str) -> Figure:
    """Draw a grid of grey slices with the outline of each class except the most frequent one.

    Args:
        panels: The slices, at least one, from left to right and from top to bottom.
        labels: The classes.
        caption: Text below the figure.
    """
    with style.context():
        rows = -(-len(panels) // _COLUMNS)
        outlined = _find_outlined(panels, labels)
        legend = style.fit_legend([label.name for label in outlined.values()])
        figure, body = style.new_figure(1.95 * rows + legend.height, caption)
        grid = body.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for axes in grid:
            axes.set_axis_off()
        for axes, panel in zip(grid, panels, strict=False):
            _draw_panel(axes, panel, outlined)
        _draw_legend(body, outlined.values(), legend.columns)
        return figure


def _find_outlined(panels: Sequence[InventoryPanel], labels: LabelSet) -> dict[int, Label]:
    """Return the classes to outline, by index."""
    pixels = sum(np.bincount(panel.label.ravel(), minlength=len(labels)) for panel in panels)
    background = int(np.argmax(pixels))
    return {index: label for index, label in enumerate(labels) if index != background}


def _draw_panel(axes: Axes, panel: InventoryPanel, outlined: Mapping[int, Label]) -> None:
    axes.set_title(_shorten(panel.title), fontsize=style.MIN_FONT_SIZE)
    grey = panel.image.mean(axis=-1)
    axes.imshow(grey, cmap="gray", vmin=0, vmax=max(float(np.percentile(grey, 99)), 1.0))
    height, width = panel.label.shape
    x, y = np.arange(-1, width + 1), np.arange(-1, height + 1)
    # An empty margin of one pixel closes the outlines of regions at the image border.
    masks = [(label.colour, np.pad(panel.label == index, 1)) for index, label in outlined.items()]
    # Neighbouring regions share a line, so the smallest region is drawn last.
    for colour, mask in sorted(masks, key=lambda item: -item[1].sum()):
        if mask.any():
            axes.contour(x, y, mask, levels=[0.5], colors=[colour], linewidths=0.7)


def _shorten(title: str) -> str:
    """Shorten a title to the width of a panel, keeping both ends."""
    half = _TITLE_LENGTH // 2
    return title if len(title) <= _TITLE_LENGTH else f"{title[:half]}…{title[-half:]}"


def _draw_legend(body: SubFigure, labels: Iterable[Label], columns: int) -> None:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], color=label.colour, label=label.name) for label in labels]
    body.legend(handles=lines, loc="outside lower center", ncols=columns)


def _make_overview(inventory: Mapping[str, Any]) -> Table:
    table = Table(show_header=False)
    channels = inventory["data"]["channels"]
    table.add_row("Labels", f"{inventory['labels']:,}")
    table.add_row("Slices", f"{inventory['slices']:,} with all images required by data.channels={channels}")
    table.add_row("Patients", f"{inventory['patients']:,}")
    table.add_row("Images", _format_counts(inventory["images"]))
    if inventory["levels"]:
        table.add_row("Levels", _format_counts(inventory["levels"]))
    table.add_row("Image sizes", "\n".join(map(_format_size, inventory["sizes"])))
    if inventory["split"]:
        shared = inventory["split"]["patients_in_train_and_test"]
        parts = ", ".join(f"{part} {inventory['split'][part]:,}" for part in ("train", "val", "test"))
        if unassigned := inventory["split"]["in_no_part"]:
            parts += f", unassigned {unassigned:,}"
        table.add_row("Split", f"{parts}; patients in both train and test: {shared:,}")
    return table


def _format_counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in counts.items())


def _format_size(size: Mapping[str, Any]) -> str:
    spacing = "unknown pixel spacing" if size["spacing_mm"] is None else f"{size['spacing_mm']:.4g} mm pixels"
    return f"{size['width']} × {size['height']}, {spacing}: {size['slices']:,}"


def _make_class_table(inventory: Mapping[str, Any], labels: LabelSet) -> Table:
    table = Table(
        "Class",
        title=Text("Classes", style="bold"),
        caption=Text(f"Fraction of pixels, mean over {inventory['labels_counted']:,} label maps."),
        caption_justify="left",
    )
    table.add_column("Code", justify="right")
    table.add_column("Mean fraction", justify="right")
    table.add_column("Label maps", justify="right")
    for label in labels:
        entry = inventory["classes"][label.key]
        fraction = style.MISSING if entry["mean_share"] is None else f"{100 * entry['mean_share']:.2f} %"
        table.add_row(Text(label.name), str(label.code), fraction, f"{entry['labels']:,}")
    return table


def _make_findings_table(inventory: Mapping[str, Any]) -> Table:
    table = Table("Check", title=Text("Findings", style="bold"), show_lines=True)
    table.add_column("Count", justify="right")
    table.add_column("Details")

    def add(check: str, cases: Iterable[str]) -> None:
        listed = list(cases)
        table.add_row(check, f"{len(listed):,}", Text("\n".join(_list_first(listed))))

    excluded, incomplete = inventory["left_out"], list(inventory["incomplete_slices"])
    details = [*(f"{count:,} × {reason}" for reason, count in excluded.items()), *_list_first(incomplete)]
    table.add_row("Excluded slices", f"{sum(excluded.values()):,}", Text("\n".join(details)))
    add("Broken files", (f"{entry['file']}: {entry['problem']}" for entry in inventory["broken"]))
    add("Labels with unknown codes", map(_format_codes, inventory["unknown_codes"]))
    add("Exact duplicates", map(_format_duplicate, inventory["duplicates"]))
    if inventory["levels"]:
        patients = inventory["incomplete_patients"].items()
        add("Patients with fewer than three levels", (f"{name}: {', '.join(levels)}" for name, levels in patients))
    if "unregistered" in inventory["classes"]:
        cases = (f"{entry['slice']}: {entry['pixels']:,} px" for entry in inventory["unregistered_inside"])
        add("Labels with Unregistered pixels away from the border", cases)
    return table


def _list_first(cases: list[str]) -> list[str]:
    return [*cases[:_MAX_LISTED], *(["… (full list in inventory.json)"] if len(cases) > _MAX_LISTED else [])]


def _format_codes(entry: Mapping[str, Any]) -> str:
    codes = ", ".join(f"{code} ({count:,} px)" for code, count in entry["pixels_by_code"].items())
    return f"{entry['file']}: {codes}"


def _format_duplicate(entry: Mapping[str, Any]) -> str:
    crossing = {True: "; IN DIFFERENT PARTS OF THE SPLIT", False: "", None: ""}[entry["crosses_split"]]
    return f"{', '.join(entry['slices'])}: {', '.join(entry['kinds'])}{crossing}"
