"""Make a data set ready, and say what it holds."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from rich.console import Console

from lss_lightning.config.prepare import PrepareConfig
from lss_lightning.data.inventory import ExaminedSlice, examine, take_inventory
from lss_lightning.data.loading import load_slice
from lss_lightning.data.source import DataSource, SourceListing
from lss_lightning.data.splits import Split, SplitProtocol, write_split
from lss_lightning.display import shown_path
from lss_lightning.errors import UserError
from lss_lightning.files import write_json
from lss_lightning.reporting.inventory import MOST, InventoryPanel, plot_contact_sheet, print_inventory
from lss_lightning.runs.layout import RunFolder

_log = logging.getLogger(__name__)


def run(config: PrepareConfig, folder: Path) -> None:
    """Download or write what is missing, read every file, and write inventory, contact sheet and split.

    Args:
        config: The checked configuration.
        folder: The run's folder, existing; it gets ``inventory.json``, ``inventory.png`` and ``split.csv``.

    Raises:
        UserError: the data cannot be had, or there is none.
    """
    source = config.data
    source.prepare()
    found = source.find()
    split = _split(found, config.split)
    examined = examine([*found.slices, *found.incomplete], source.labels)
    about = {"name": source.name, "root": source.root, "channels": source.channels, "protocol": config.split.protocol}
    inventory = {"data": about, **take_inventory(found, examined, source.labels, split)}
    write_json(folder / "inventory.json", inventory)
    if split is not None:
        write_split(RunFolder(folder).split, found.slices, split)
    title = f"{source.name}: {source.root}"
    print_inventory(inventory, source.labels, title=title)
    if panels := _panels(examined[: len(found.slices)], source):
        caption = (
            f"{title}. {len(panels)} of {len(found.slices)} slices, evenly spaced in order of patient and level; grey "
            f"is the mean of the channels ({source.channels}). {source.disclaimer}"
        )
        plot_contact_sheet(panels, source.labels, folder / "inventory.png", caption=caption)
    for path in sorted(folder.glob("[is]*.*")):
        Console().print(str(shown_path(path)), highlight=False, soft_wrap=True)


def _split(found: SourceListing, protocol: SplitProtocol) -> Split | None:
    """The split, or None where it does not fit the slices: that must not keep anybody from looking at them."""
    try:
        return protocol.divide(found.slices)
    except UserError as error:
        _log.warning("not split: %s", error)
        return None


def _panels(examined: list[ExaminedSlice], source: DataSource) -> list[InventoryPanel]:
    sound = [one.slice for one in examined if one.sound]
    places = np.linspace(0, len(sound) - 1, min(MOST, len(sound))).round().astype(int)
    panels = []
    for piece in (sound[place] for place in places):
        loaded = load_slice(piece, source.channels, source.labels, source.third)
        panels.append(InventoryPanel(piece.title, loaded.image.transpose(1, 2, 0), loaded.label))
    return panels
