from __future__ import annotations

import multiprocessing
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lss_lightning.data.batches import SliceDataset, collate
from lss_lightning.data.packed import PIXEL_FILE, PackedSlice
from tests.cli.commands import REPOSITORY
from tests.data.caching import assert_as_decoded, assert_same, list_caches, read


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run Python code in another process."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from tests.data.caching import read
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    read(Path(sys.argv[1]), Path(sys.argv[2]))
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_full_disk_is_named_and_leaves_no_cache(tree, cache_folder):
    # The system limits files to 100 kB, and 490 kB are needed.
    output, errors = start(FULL_DISK, tree, cache_folder).communicate(timeout=60)
    assert output.startswith(f"UserError paths.cache={cache_folder}: cannot be used (File too large)"), errors
    assert list_caches(cache_folder) == []


SLOW = """
import logging, os, sys, time
from pathlib import Path
from lss_lightning.data import cache, loading
from tests.data.caching import read
logging.basicConfig(level=logging.INFO, format="%(message)s")
load_slice, count = loading.load_slice, 0
def load(*args, **options):
    global count
    count += 1
    time.sleep(0.2)
    return load_slice(*args, **options)
loading.load_slice = cache.load_slice = load
root, folder, processes = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
ready = folder.with_name("ready")
ready.mkdir(exist_ok=True)
(ready / str(os.getpid())).touch()
while len(list(ready.iterdir())) < processes:
    time.sleep(0.01)
slices = read(root, folder)
print(count, sum(int(loaded.image.sum()) for loaded in slices))
"""


def test_one_of_several_processes_builds_the_cache(tree, cache_folder):
    processes = [start(SLOW, tree, cache_folder, 3) for _ in range(3)]
    outputs = [process.communicate(timeout=100) for process in processes]
    counts = sorted(int(output.split()[0]) for output, _ in outputs)
    assert counts == [0, 0, 31]
    assert len({output.split()[1] for output, _ in outputs}) == 1
    waited = [errors for _, errors in outputs if f"waiting for {cache_folder}: another process" in errors]
    assert len(waited) == 2
    assert_as_decoded(read(tree, cache_folder), tree)


def test_a_killed_builder_leaves_no_cache(tree, cache_folder, decoded):
    builder = start(SLOW, tree, cache_folder, 1)
    deadline = time.monotonic() + 60
    while not list(cache_folder.glob(f".*.part/{PIXEL_FILE}")):
        assert builder.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    builder.send_signal(signal.SIGKILL)
    builder.communicate(timeout=60)
    (draft,) = list_caches(cache_folder)
    assert draft.suffix == ".part"
    assert_as_decoded(read(tree, cache_folder), tree)
    assert len(decoded) > 30
    assert draft not in list_caches(cache_folder)
    assert len(list_caches(cache_folder)) == 1


def count_mapped_bytes(path: Path) -> int:
    """Return the resident bytes of a file mapped by this process, and check that none were written to (and copied)."""
    sizes = {"Rss": 0, "Private_Dirty": 0}
    is_path = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        head, *rest = line.split()
        if "-" in head and not head.endswith(":"):
            is_path = bool(rest) and rest[-1] == str(path)
        elif is_path and head.rstrip(":") in sizes:
            sizes[head.rstrip(":")] += int(rest[0]) * 1024
    assert sizes["Private_Dirty"] == 0
    return sizes["Rss"]


def read_all(dataset: SliceDataset, queue) -> None:
    batch = collate([dataset[index] for index in range(len(dataset))])
    (path,) = {loaded.pixels.path for loaded in dataset.slices if isinstance(loaded, PackedSlice)}
    queue.put((int(batch["image"].sum()), count_mapped_bytes(path)))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux")
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_map_the_same_file(tree, cache_folder, method):
    slices = read(tree, cache_folder)
    dataset = SliceDataset(slices, None, label_on_working_grid=True)
    # A spawned worker receives the pickled dataset.
    assert len(pickle.dumps(dataset)) < sum(loaded.image.nbytes for loaded in slices) / 10
    assert_same(pickle.loads(pickle.dumps(dataset)).slices, slices)
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    worker = context.Process(target=read_all, args=(dataset, queue))
    worker.start()
    total, resident = queue.get()
    worker.join()
    assert total == sum(int(loaded.image.sum()) for loaded in slices)
    assert resident >= sum(loaded.image.nbytes for loaded in slices)
