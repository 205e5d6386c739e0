"""The ``prepare.py`` command: prepare a data set, and list its contents and problems."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from rich.console import Console

from lss_lightning.config.prepare import PrepareConfig
from lss_lightning.data.inventory import ExaminedSlice, examine_slices, take_inventory
from lss_lightning.data.loading import load_slice
from lss_lightning.data.source import DataSource, SourceListing
from lss_lightning.data.splits import Split, SplitProtocol, write_split
from lss_lightning.display import shorten_path
from lss_lightning.errors import UserError
from lss_lightning.files import write_json
from lss_lightning.reporting.inventory import MAX_PANELS, InventoryPanel, plot_contact_sheet, print_inventory
from lss_lightning.runs.layout import RunFolder

_log = logging.getLogger(__name__)


def run(config: PrepareConfig, folder: Path) -> None:
    """Download or generate missing data, read every file, and write the inventory, contact sheet and split.

    Args:
        config: The checked configuration.
        folder: The existing run directory, for ``inventory.json``, ``inventory.png`` and ``split.csv``.

    Raises:
        UserError: If there is no data, or it cannot be downloaded.
    """
    run_folder, source = RunFolder(folder), config.data
    source.prepare()
    listing = source.find()
    split = _divide(listing, config.split)
    examined = examine_slices([*listing.slices, *listing.incomplete], source.labels)
    about = {"name": source.name, "root": source.root, "channels": source.channels, "protocol": config.split.protocol}
    inventory = {"data": about, **take_inventory(listing, examined, source.labels, split)}
    write_json(run_folder.inventory, inventory)
    if split is not None:
        write_split(run_folder.split, listing.slices, split)
    title = f"{source.name}: {source.root}"
    print_inventory(inventory, source.labels, title=title)
    if panels := _make_panels(examined[: len(listing.slices)], source):
        caption = (
            f"{title}. {len(panels)} of {len(listing.slices)} slices, evenly spaced in order of patient and level; "
            f"grey is the mean of the channels ({source.channels}). {source.disclaimer}"
        )
        plot_contact_sheet(panels, source.labels, run_folder.contact_sheet, caption=caption)
    for path in (run_folder.inventory, run_folder.contact_sheet, run_folder.split):
        if path.exists():
            Console().print(str(shorten_path(path)), highlight=False, soft_wrap=True)


def _divide(listing: SourceListing, protocol: SplitProtocol) -> Split | None:
    """Return the split, or None if the protocol does not suit the slices. An inventory is possible without a split."""
    try:
        return protocol.divide(listing.slices)
    except UserError as error:
        _log.warning("not split: %s", error)
        return None


def _make_panels(examined: list[ExaminedSlice], source: DataSource) -> list[InventoryPanel]:
    usable = [result.slice for result in examined if result.is_usable]
    indices = np.linspace(0, len(usable) - 1, min(MAX_PANELS, len(usable))).round().astype(int)
    panels = []
    for slice_ in (usable[index] for index in indices):
        loaded = load_slice(slice_, source.channels, source.labels, source.third_channel)
        panels.append(InventoryPanel(slice_.title, loaded.image.transpose(1, 2, 0), loaded.label))
    return panels
