"""A phantom on disk, in the layout of the Al-Kafri data set."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path

from lss_lightning.data.composite import composite
from lss_lightning.data.parallel import map_parallel
from lss_lightning.data.slices import IMAGES, LABELS
from lss_lightning.errors import UserError
from lss_lightning.files import atomic_folder
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom.parameters import ParameterRecord
from lss_lightning.phantom.patient import FULL_RANGE, LEVELS, check_severities
from lss_lightning.phantom.render import check_request, render_slice
from lss_lightning.phantom.table import TRUTH, write_truth
from lss_lightning.phantom.version import VERSION

_MANIFEST = "phantom.json"


@dataclass(frozen=True)
class _Manifest:
    """What decides every byte of a phantom."""

    version: int
    patients: int
    image_size: int
    seed: int
    randomise: float
    severities: list[float]


def write_phantom(
    root: Path,
    *,
    patients: int,
    image_size: int,
    seed: int,
    randomise: float = 0.0,
    severities: tuple[float, float] = FULL_RANGE,
    workers: int | None = None,
) -> None:
    """Write a phantom, or keep the one that is there if it was made with the same parameters.

    Three slices (D3, D4, D5) a patient, each as T1, T2, composite (red T1, green T2, blue max(T1 − T2, 0)) and label
    (codes of ``LUMBAR``), 8-bit PNG. ``truth.csv`` holds a row per slice, ``phantom.json`` records the parameters.
    The folder appears only when complete.

    Args:
        root: Folder to write; it must not exist, be empty, or hold this phantom.
        patients: Number of patients, 1 to 9999.
        image_size: Pixels a side, at least 64; the field of view is always 220 mm.
        seed: 0 or more; the same seed gives the same bytes, whatever the number of workers.
        randomise: Share of slices whose signal and artefacts are drawn far beyond what is realistic, 0 to 1.
        severities: Least and greatest severity of the stenosis, within 0 to 1.
        workers: Processes to render with; None means one per processor.

    Raises:
        UserError: a parameter outside its range, or a folder that holds anything else.
    """
    check_request(seed, image_size)
    check_severities(severities)
    if not 1 <= patients <= 9999:
        raise UserError(
            f"phantom patients is {patients}: 1 to 9999 are possible, as file names give a patient four digits"
        )
    manifest = _Manifest(VERSION, patients, image_size, seed, randomise, [float(bound) for bound in severities])
    root = root.resolve()
    if _holds(root, manifest):
        return
    try:
        with atomic_folder(root) as draft:
            for folder, _ in (*IMAGES.values(), LABELS):
                (draft / folder).mkdir(parents=True)
            _write_slices(draft, manifest, (os.cpu_count() or 1) if workers is None else workers)
            (draft / _MANIFEST).write_text(json.dumps(asdict(manifest), indent=2) + "\n")
    except OSError:
        # Another process may meanwhile have put the same there.
        if not _holds(root, manifest):
            raise


def _holds(root: Path, manifest: _Manifest) -> bool:
    """Whether the folder is this phantom already; False if there is room for it."""
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    found = root / _MANIFEST
    if not found.is_file():
        raise UserError(
            f"{root} holds something that is no phantom: nothing is overwritten, give an empty or new folder"
        )
    try:
        parameters = json.loads(found.read_text())
    except ValueError as error:
        raise UserError(f"{found} is damaged ({error}): remove {root} or give another folder") from error
    if parameters != asdict(manifest):
        raise UserError(
            f"{root} holds another phantom, {json.dumps(parameters)}, than the one asked for, "
            f"{json.dumps(asdict(manifest))}: remove it or give another folder"
        )
    return True


def _write_slices(root: Path, manifest: _Manifest, workers: int) -> None:
    names = list(product(range(1, manifest.patients + 1), LEVELS))
    rows = list(map_parallel(partial(_write_slice, root, manifest), names, workers, "Phantom", chunk=3))
    write_truth(root / TRUTH, rows)


def _write_slice(root: Path, manifest: _Manifest, name: tuple[int, str]) -> ParameterRecord:
    """Write one slice's images and give back its row of the truth."""
    from PIL import Image

    patient, level = name
    low, high = manifest.severities
    rendered = render_slice(manifest.seed, patient, level, manifest.image_size, manifest.randomise, (low, high))
    images = {
        IMAGES["t1"]: rendered.t1,
        IMAGES["t2"]: rendered.t2,
        IMAGES["composite"]: composite(rendered.t1, rendered.t2),
        LABELS: LUMBAR.to_codes(rendered.label),
    }
    for (folder, prefix), pixels in images.items():
        Image.fromarray(pixels).save(root / folder / f"{prefix}_{patient:04d}_{level}.png")
    return rendered.truth
