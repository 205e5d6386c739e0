"""Duration of an epoch of data loading: from the pixel cache, from PNG files, and from MONAI's CacheDataset.

``python bench/bench_data.py [--slices 1545] [--size 320] [--batch 8] [--repeats 5] [--folder DIR]``

An epoch consists of all slices in shuffled order, composite and label, as uint8 batches, without augmentation, loaded
by the training process on one thread. The first two readers use this package's dataset, sampler and collation; MONAI's
uses ``LoadImaged`` (with its PIL reader), ``MapLabelValued`` and ``cache_rate=1.0``. Each runs in its own process,
whose memory is reported. Epochs are interleaved, so that other load affects all equally, and medians are reported. The
slices are phantoms in the Al-Kafri layout. Only a few are rendered; the others are shifted and mirrored copies.
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

# Works without installing the package.
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch.utils.data import DataLoader

from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.alkafri_layout import IMAGES, LABELS
from lss_lightning.data.batches import EpochSampler, SliceDataset, collate
from lss_lightning.data.cache import load_cached_slices
from lss_lightning.data.composite import PUBLISHED_FORMULA, build_composite
from lss_lightning.data.loading import LoadedSlice, load_slice
from lss_lightning.data.slices import Slice
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import render_slice

RENDERED = 24
"""Number of rendered slices; each takes a quarter of a second."""


def write_data(root: Path, slices: int, size: int) -> None:
    """Write composites and labels: rendered slices, shifted by some pixels, and every other one mirrored."""
    rendered = [
        render_slice(0, patient, "D4", size)
        for patient in track(range(1, min(slices, RENDERED) + 1), "Rendering", console=Console(stderr=True))
    ]
    for folder, _ in (IMAGES["composite"], LABELS):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in track(range(slices), "Writing", console=Console(stderr=True)):
        slice_, shift = rendered[number % len(rendered)], tuple(rng.integers(-size // 8, size // 8, 2).tolist())
        for (folder, prefix), pixels in (
            (IMAGES["composite"], build_composite(slice_.t1, slice_.t2)),
            (LABELS, LUMBAR.to_codes(slice_.label)),
        ):
            shifted = np.roll(pixels, shift, (0, 1))[:, :: (-1) ** number]
            Image.fromarray(shifted).save(
                root / folder / f"{prefix}_{number // 3 + 1:04d}_D{number % 3 + 3}.png", compress_level=1
            )


class DecodedSlices(Sequence[LoadedSlice]):
    """Slices that are decoded on every access."""

    def __init__(self, slices: list[Slice]) -> None:
        self.slices = slices

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, index: Any) -> Any:
        return load_slice(self.slices[index], "composite", LUMBAR)


def make_loader(slices: Sequence[LoadedSlice], batch: int) -> DataLoader[Any]:
    """Create a DataLoader like that of the data module for training."""
    dataset = SliceDataset(slices, None, label_on_working_grid=True)
    sampler = EpochSampler(len(dataset), shuffle=True, seed=0, rank=0, ranks=1)
    return DataLoader(dataset, batch, sampler=sampler, collate_fn=collate)


def from_cache(root: Path, batch: int) -> DataLoader[Any]:
    """Create our loader with a cache, which is built if it does not exist."""
    slices = find_slices(root, "composite").slices
    return make_loader(load_cached_slices(slices, "composite", LUMBAR, PUBLISHED_FORMULA, root / "cache"), batch)


def from_files(root: Path, batch: int) -> DataLoader[Any]:
    """Create our loader without a cache."""
    return make_loader(DecodedSlices(find_slices(root, "composite").slices), batch)


def from_monai(root: Path, batch: int) -> DataLoader[Any]:
    """Create MONAI's loader."""
    from monai import transforms
    from monai.data import CacheDataset, set_track_meta

    set_track_meta(False)  # MONAI is faster with plain tensors
    steps: list[Any] = [
        transforms.LoadImaged(["image", "label"], reader="PILReader", dtype=np.uint8, reverse_indexing=False),
        transforms.EnsureChannelFirstd(["image"], channel_dim=-1),
        transforms.MapLabelValued(["label"], LUMBAR.codes, range(len(LUMBAR)), dtype=np.uint8),
        transforms.ToTensord(["image", "label"], dtype=torch.uint8),
    ]
    files = [
        {"image": str(slice_.images["composite"]), "label": str(slice_.label)}
        for slice_ in find_slices(root, "composite").slices
    ]
    cached = CacheDataset(files, transforms.Compose(steps), cache_rate=1.0, num_workers=1, progress=False)
    return DataLoader(cached, batch, shuffle=True)


READERS: dict[str, Callable[[Path, int], DataLoader[Any]]] = {
    "pixel cache": from_cache,
    "PNGs each time": from_files,
    "MONAI CacheDataset": from_monai,
}


MEMORY = {"RssAnon": "own\nMiB", "RssFile": "shared\nMiB"}
"""Memory of a process: names on Linux, and column headings."""


def read_memory() -> dict[str, float]:
    """Return the private and the file-backed memory of this process in MiB; empty except on Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        return {}
    values = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return {name: float(values[name].split()[0]) / 1024 for name in MEMORY}


def serve(reader: str, root: Path, batch: int, pipe: Connection) -> None:
    """Create a reader, send the time that this took, then read an epoch on every request."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module="monai")
    # Imported by all readers before the clock starts, so that it affects neither time nor memory of MONAI's reader.
    importlib.import_module("monai.data")
    before, start = read_memory(), time.perf_counter()
    batches = READERS[reader](root, batch)
    pipe.send(time.perf_counter() - start)
    while task := pipe.recv():
        start, total = time.perf_counter(), 0
        for loaded in batches:
            if task == "check":
                total += int(loaded["image"].sum() + loaded["label"].sum())
        seconds = time.perf_counter() - start
        after = read_memory()
        pipe.send((seconds, total, {name: after[name] - before[name] for name in after}))


@dataclass
class Result:
    """Measured times and memory of a reader.

    Attributes:
        first_start: Seconds to create it for the first time.
        later_start: Seconds to create it again.
        epochs: Seconds of each epoch.
        memory: Memory in MiB in addition to that before its creation.
    """

    first_start: float
    later_start: float
    epochs: list[float]
    memory: dict[str, float]


class ReaderProcess:
    """A reader in its own process."""

    def __init__(self, name: str, root: Path, batch: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, child = context.Pipe()
        self.process = context.Process(target=serve, args=(name, root, batch, child))
        self.process.start()
        child.close()
        self.start_seconds: float = self.pipe.recv()

    def epoch(self, *, check: bool) -> Any:
        """Read an epoch; return its seconds, the sum of all pixels if ``check`` is set, and the memory after it."""
        self.pipe.send("check" if check else "time")
        return self.pipe.recv()

    def close(self) -> None:
        """Stop the process."""
        self.pipe.send(None)
        self.process.join()


def measure(root: Path, batch: int, repeats: int) -> dict[str, Result]:
    """Create each reader twice, one after the other, then read interleaved epochs."""
    results, readers = {}, {}
    for name in READERS:
        first = ReaderProcess(name, root, batch)
        first.close()
        readers[name] = ReaderProcess(name, root, batch)
        results[name] = Result(first.start_seconds, readers[name].start_seconds, [], {})
    for repeat in range(repeats + 1):
        totals = set()
        for name, reader in readers.items():
            # The first epoch is a warm-up.
            seconds, total, results[name].memory = reader.epoch(check=repeat == 0)
            totals.add(total)
            if repeat:
                results[name].epochs.append(seconds)
        if len(totals) > 1:
            raise RuntimeError(f"the readers return different pixels, with sums {totals}")
    for reader in readers.values():
        reader.close()
    return results


def print_results(results: dict[str, Result], title: str) -> None:
    """Print a table of times, ratios and memory."""
    table = Table(title=title)
    table.add_column("")
    for heading in ("first\nstart, s", "later\nstart, s", "\nepoch, s", "\nratio", *MEMORY.values()):
        table.add_column(heading, justify="right")
    reference = statistics.median(next(iter(results.values())).epochs)
    for name, result in results.items():
        epoch = statistics.median(result.epochs)
        times = (f"{result.first_start:.2f}", f"{result.later_start:.2f}", f"{epoch:.2f}", f"{epoch / reference:.1f}")
        table.add_row(name, *times, *(f"{result.memory[key]:.0f}" if result.memory else "–" for key in MEMORY))
    Console().print(table)


def main() -> None:
    """Write the slices, time the readers and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slices", type=int, default=1545, help="number of slices (1545, like the Al-Kafri data)")
    parser.add_argument("--size", type=int, default=320, help="height and width in pixels (320)")
    parser.add_argument("--batch", type=int, default=8, help="images per batch (8)")
    parser.add_argument("--repeats", type=int, default=5, help="timed epochs of each reader (5)")
    parser.add_argument("--folder", type=Path, help="parent folder of the temporary slices")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        root = Path(folder)
        write_data(root, args.slices, args.size)
        results = measure(root, args.batch, args.repeats)
    rendered = min(args.slices, RENDERED)
    print_results(
        results,
        f"{args.slices} slices of {args.size} × {args.size} pixels ({rendered} phantom slices, shifted and "
        f"mirrored), batches of {args.batch}, no augmentation, one thread, median of {args.repeats} epochs",
    )


if __name__ == "__main__":
    main()
