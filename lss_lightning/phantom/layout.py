"""Phantom data sets in the layout of the Al-Kafri data set."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path

from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS, IMAGES, LABELS
from lss_lightning.data.composite import build_composite
from lss_lightning.data.parallel import map_parallel
from lss_lightning.data.processors import count_processors
from lss_lightning.errors import UserError
from lss_lightning.files import atomic_folder, write_json
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom.patient import FULL_SEVERITY_RANGE, check_severities
from lss_lightning.phantom.render import check_request, render_slice
from lss_lightning.phantom.table import TRUTH_CSV, write_truth
from lss_lightning.phantom.truth_parameters import ParameterRecord
from lss_lightning.phantom.version import PHANTOM_VERSION

_MANIFEST = "phantom.json"


@dataclass(frozen=True)
class _Manifest:
    """The parameters that determine every byte of a phantom data set."""

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
    severities: tuple[float, float] = FULL_SEVERITY_RANGE,
    workers: int | None = None,
) -> None:
    """Write a phantom data set, unless the folder already contains one with the same parameters.

    Each patient has three slices (D3, D4, D5). Each slice is written as four 8-bit PNG files: T1, T2, composite
    (red T1, green T2, blue max(T1 − T2, 0)) and label (codes of ``LUMBAR``). ``truth.csv`` contains one row per
    slice, and ``phantom.json`` contains the parameters. The folder appears only when it is complete.

    Args:
        root: Folder to create. It must be new or empty, or contain the same phantom.
        patients: Number of patients, 1 to 9999.
        image_size: Width and height in pixels, at least 64. The field of view is always 220 mm.
        seed: Random seed, 0 or more. The same seed produces the same bytes with any number of workers.
        randomise: Fraction of slices whose signal and artefacts are randomised far beyond realistic values, 0 to 1.
        severities: Lowest and highest severity of the stenosis, each from 0 to 1.
        workers: Number of processes, or None for one per processor.

    Raises:
        UserError: If a parameter is out of range, or the folder contains anything else.
    """
    check_request(seed, image_size)
    check_severities(severities)
    if not 1 <= patients <= 9999:
        raise UserError(
            f"phantom patients is {patients}: it must be 1 to 9999, because file names have four digits per patient"
        )
    manifest = _Manifest(PHANTOM_VERSION, patients, image_size, seed, randomise, [float(bound) for bound in severities])
    root = root.resolve()
    if _is_phantom(root, manifest):
        return
    try:
        with atomic_folder(root) as draft:
            for folder, _ in (*IMAGES.values(), LABELS):
                (draft / folder).mkdir(parents=True)
            _write_slices(draft, manifest, count_processors() if workers is None else workers)
            write_json(draft / _MANIFEST, asdict(manifest))
    except OSError:
        # Another process may have written the same phantom in the meantime.
        if not _is_phantom(root, manifest):
            raise


def _is_phantom(root: Path, manifest: _Manifest) -> bool:
    """Return True if a folder contains the phantom of the manifest, and False if it is empty or does not exist.

    Raises:
        UserError: If the folder contains anything else.
    """
    if not root.exists() or (root.is_dir() and not any(root.iterdir())):
        return False
    path = root / _MANIFEST
    if not path.is_file():
        raise UserError(
            f"{root} is not empty and holds no phantom: nothing is overwritten; give an empty or new folder"
        )
    try:
        parameters = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}): remove {root} or give another folder") from error
    if parameters != asdict(manifest):
        raise UserError(
            f"{root} holds another phantom, with {json.dumps(parameters)} instead of {json.dumps(asdict(manifest))}: "
            "remove it or give another folder"
        )
    return True


def _write_slices(root: Path, manifest: _Manifest, workers: int) -> None:
    jobs = list(product(range(1, manifest.patients + 1), ALKAFRI_LEVELS))
    rows = list(map_parallel(partial(_write_slice, root, manifest), jobs, workers, "Phantom", chunk=3))
    write_truth(root / TRUTH_CSV, rows)


def _write_slice(root: Path, manifest: _Manifest, job: tuple[int, str]) -> ParameterRecord:
    """Write the images of one slice and return its row of ``truth.csv``."""
    from PIL import Image

    patient_id, level = job
    low, high = manifest.severities
    rendered = render_slice(manifest.seed, patient_id, level, manifest.image_size, manifest.randomise, (low, high))
    images = {
        IMAGES["t1"]: rendered.t1,
        IMAGES["t2"]: rendered.t2,
        IMAGES["composite"]: build_composite(rendered.t1, rendered.t2),
        LABELS: LUMBAR.to_codes(rendered.label),
    }
    for (folder, prefix), pixels in images.items():
        Image.fromarray(pixels).save(root / folder / f"{prefix}_{patient_id:04d}_{level}.png")
    return rendered.truth
