"""How long an epoch of reading takes: from the pixel cache, from the PNGs each time, and from MONAI's CacheDataset.

``python bench/bench_data.py [--slices 1545] [--size 320] [--batch 8] [--repeats 5] [--folder DIR]``

An epoch is all slices in a shuffled order, composite and label, as uint8 batches, without augmentation, read by the
training process on one thread. The first two go through this package's data set, sampler and collation; MONAI's through
``LoadImaged`` (its PIL reader), ``MapLabelValued`` and ``cache_rate=1.0``. Each works in a process of its own, which
shows the memory that it takes; epochs are interleaved, so that a busy machine slows all alike; the medians are shown.
The slices are phantoms in the Al-Kafri layout. Few are rendered: the others are those, shifted and mirrored.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

# A checkout's package need not be installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.utils.data import DataLoader

from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.batches import EpochSampler, SliceDataset, collate
from lss_lightning.data.cache import cached_slices
from lss_lightning.data.composite import PUBLISHED, composite
from lss_lightning.data.loading import LoadedSlice, load_slice
from lss_lightning.data.slices import IMAGES, LABELS, Slice
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import render_slice

RENDERED = 24
"""Slices that are drawn; it takes a quarter of a second each."""


def write_data(root: Path, slices: int, size: int) -> None:
    """Write composites and labels, each a rendered slice, shifted by some pixels and, every other time, mirrored."""
    drawn = [
        render_slice(0, patient, "D4", size)
        for patient in track(range(1, min(slices, RENDERED) + 1), "Rendering", console=Console(stderr=True))
    ]
    for folder, _ in (IMAGES["composite"], LABELS):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in track(range(slices), "Writing", console=Console(stderr=True)):
        piece, shift = drawn[number % len(drawn)], tuple(rng.integers(-size // 8, size // 8, 2).tolist())
        for (folder, prefix), pixels in (
            (IMAGES["composite"], composite(piece.t1, piece.t2)),
            (LABELS, LUMBAR.to_codes(piece.label)),
        ):
            moved = np.roll(pixels, shift, (0, 1))[:, :: (-1) ** number]
            Image.fromarray(moved).save(
                root / folder / f"{prefix}_{number // 3 + 1:04d}_D{number % 3 + 3}.png", compress_level=1
            )


class Decoding(Sequence[LoadedSlice]):
    """Slices that are decoded whenever one is asked for."""

    def __init__(self, pieces: list[Slice]) -> None:
        self.pieces = pieces

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, index: Any) -> Any:
        return load_slice(self.pieces[index], "composite", LUMBAR)


def loader(slices: Sequence[LoadedSlice], batch: int) -> DataLoader[Any]:
    """As the data module makes one for training."""
    dataset = SliceDataset(slices, None, label_on_working_grid=True)
    sampler = EpochSampler(len(dataset), shuffle=True, seed=0, rank=0, ranks=1)
    return DataLoader(dataset, batch, sampler=sampler, collate_fn=collate)


def from_cache(root: Path, batch: int) -> DataLoader[Any]:
    """Ours; the cache is built where there is none."""
    pieces = find_slices(root, "composite").slices
    return loader(cached_slices(pieces, "composite", LUMBAR, PUBLISHED, root / "cache"), batch)


def from_files(root: Path, batch: int) -> DataLoader[Any]:
    """Ours, without a cache."""
    return loader(Decoding(find_slices(root, "composite").slices), batch)


def from_monai(root: Path, batch: int) -> DataLoader[Any]:
    """MONAI's."""
    from monai import transforms
    from monai.data import CacheDataset, set_track_meta

    set_track_meta(False)  # plain tensors: its faster way
    steps: list[Any] = [
        transforms.LoadImaged(["image", "label"], reader="PILReader", dtype=np.uint8, reverse_indexing=False),
        transforms.EnsureChannelFirstd(["image"], channel_dim=-1),
        transforms.MapLabelValued(["label"], LUMBAR.codes, range(len(LUMBAR)), dtype=np.uint8),
        transforms.ToTensord(["image", "label"], dtype=torch.uint8),
    ]
    files = [
        {"image": str(piece.images["composite"]), "label": str(piece.label)}
        for piece in find_slices(root, "composite").slices
    ]
    cached = CacheDataset(files, transforms.Compose(steps), cache_rate=1.0, num_workers=1, progress=False)
    return DataLoader(cached, batch, shuffle=True)


READERS: dict[str, Callable[[Path, int], DataLoader[Any]]] = {
    "pixel cache": from_cache,
    "PNGs each time": from_files,
    "MONAI CacheDataset": from_monai,
}


MEMORY = {"RssAnon": "own\nMiB", "RssFile": "shared\nMiB"}
"""Linux's names of a process's memory, and ours."""


def memory() -> dict[str, float]:
    """What this process holds, MiB: of its own, and of files that all processes share; nothing where not on Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        return {}
    known = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return {name: float(known[name].split()[0]) / 1024 for name in MEMORY}


def serve(reader: str, root: Path, batch: int, pipe: Connection) -> None:
    """Make the reader ready, say how long that took, then read an epoch whenever asked to."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="monai")
    # Here, so that it is neither timed nor makes one process larger than the others.
    importlib.import_module("monai.data")
    before, start = memory(), time.perf_counter()
    batches = READERS[reader](root, batch)
    pipe.send(time.perf_counter() - start)
    while task := pipe.recv():
        start, total = time.perf_counter(), 0
        for each in batches:
            if task == "check":
                total += int(each["image"].sum() + each["label"].sum())
        seconds = time.perf_counter() - start
        after = memory()
        pipe.send((seconds, total, {name: after[name] - before[name] for name in after}))


@dataclass
class Result:
    """What was measured of a reader: seconds, and MiB beyond those before it was made."""

    first: float
    again: float
    epochs: list[float]
    memory: dict[str, float]


class Reader:
    """A reader in a process of its own."""

    def __init__(self, name: str, root: Path, batch: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=serve, args=(name, root, batch, other))
        self.process.start()
        other.close()
        self.ready: float = self.pipe.recv()

    def epoch(self, *, check: bool) -> Any:
        """Read an epoch: its seconds, the sum of all pixels if that is to be checked, and the memory then held."""
        self.pipe.send("check" if check else "time")
        return self.pipe.recv()

    def close(self) -> None:
        """End the process."""
        self.pipe.send(None)
        self.process.join()


def measure(root: Path, batch: int, repeats: int) -> dict[str, Result]:
    """Make each reader twice, one after the other, then read epochs in turn."""
    results, readers = {}, {}
    for name in READERS:
        first = Reader(name, root, batch)
        first.close()
        readers[name] = Reader(name, root, batch)
        results[name] = Result(first.ready, readers[name].ready, [], {})
    for repeat in range(repeats + 1):
        totals = set()
        for name, reader in readers.items():
            # The first epoch warms up.
            seconds, total, results[name].memory = reader.epoch(check=repeat == 0)
            totals.add(total)
            if repeat:
                results[name].epochs.append(seconds)
        if len(totals) > 1:
            raise RuntimeError(f"the readers hand out different pixels, which add up to {totals}")
    for reader in readers.values():
        reader.close()
    return results


def show(results: dict[str, Result], title: str) -> None:
    """Print seconds, ratios and memory."""
    table = Table(title=title)
    table.add_column("")
    for heading in ("first\nstart, s", "later\nstart, s", "\nepoch, s", "\nratio", *MEMORY.values()):
        table.add_column(heading, justify="right")
    least = statistics.median(next(iter(results.values())).epochs)
    for name, result in results.items():
        epoch = statistics.median(result.epochs)
        times = (f"{result.first:.2f}", f"{result.again:.2f}", f"{epoch:.2f}", f"{epoch / least:.1f}")
        table.add_row(name, *times, *(f"{result.memory[key]:.0f}" if result.memory else "–" for key in MEMORY))
    Console().print(table)


def main() -> None:
    """Write the slices, time the readers, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slices", type=int, default=1545, help="how many (1545, as the Al-Kafri data has)")
    parser.add_argument("--size", type=int, default=320, help="pixels a side (320)")
    parser.add_argument("--batch", type=int, default=8, help="images per batch (8)")
    parser.add_argument("--repeats", type=int, default=5, help="timed epochs of each reader (5)")
    parser.add_argument("--folder", type=Path, help="where the slices are written (a temporary folder)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        root = Path(folder)
        write_data(root, given.slices, given.size)
        results = measure(root, given.batch, given.repeats)
    rendered = min(given.slices, RENDERED)
    show(
        results,
        f"{given.slices} slices of {given.size} × {given.size} pixels ({rendered} phantom slices, shifted and "
        f"mirrored), batches of {given.batch}, no augmentation, one thread, median of {given.repeats} epochs",
    )


if __name__ == "__main__":
    main()
