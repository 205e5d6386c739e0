"""How many slices a second ``predict.py`` segments and measures, and what each of its steps costs.

``python bench/bench_predict.py [--encoder resnet34] [--size 320] [--checkpoint logs/…/best.ckpt …] [--tta flip]``

A phantom study as DICOM is read and registered, once; then, repeatedly and by turns, it is segmented; segmented and
measured; and all that is written too. Every slice is taken for one through a disc, the costliest case, since only those
are drawn and reported on; with ``--only-discs`` the study is left to tell, as ``predict.py`` does. Medians of the time
are shown, and of the processor time that a slice takes, which other programs change little. Without a checkpoint the
networks are untrained and draw noise: then only the row of segmenting means anything.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# A checkout's package need not be installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from bench.timing import medians, show
from lss_lightning.config.sections import OutputConfig, TrainerConfig
from lss_lightning.data.studies import InputRequirements, Study, find_studies, network_image
from lss_lightning.labels import LUMBAR
from lss_lightning.models.checkpoint import NetworkSpec
from lss_lightning.models.ensemble import EnsembleModule, load_ensemble
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.views import VIEWS
from lss_lightning.phantom.dicom import write_phantom_study as write_phantom
from lss_lightning.reporting.prediction import write_study
from lss_lightning.stenosis import ModelIdentity, StudyResult
from lss_lightning.workflows.prediction.engine import Engine, NetworkInput
from lss_lightning.workflows.prediction.findings import judge, measured

CHANNELS = "composite"
TARGET = 8.0
"""Slices a second that are asked for, of a resnet34 at 320 × 320 on two cores with native bf16."""


def untrained(encoder: str, members: int, tta: str) -> EnsembleModule:
    """U-Nets as training builds them, with random weights."""
    torch.manual_seed(0)
    spec = NetworkSpec("resunet", encoder, 3, len(LUMBAR), "transpose", [256, 128, 64, 32, 16])
    return EnsembleModule(
        [SegmentationModule(spec.build(), LUMBAR, [0.2] * 3, [0.2] * 3) for _ in range(members)], VIEWS[tta]
    )


def steps(engine: Engine, study: Study, levels: dict[str, str]) -> dict[str, Callable[[], object]]:
    """What is timed, by name, with the levels that a user names, by slice."""
    shown = [NetworkInput(network_image(piece.images, CHANNELS, None), piece.spacing) for piece in study.slices]

    def segment() -> list[object]:
        return list(engine.segment(shown))

    def segment_and_measure() -> StudyResult:
        segmented = [
            measured(piece, image.pixels, each, LUMBAR)
            for piece, image, each in zip(study.slices, shown, engine.segment(shown), strict=True)
        ]
        slices, remarks = judge(segmented, LUMBAR, levels)
        models = (ModelIdentity("bench", "0" * 64),)
        return StudyResult(name="study_1", slices=slices, labels=LUMBAR, models=models, remarks=remarks)

    def written(*, more: bool) -> None:
        with tempfile.TemporaryDirectory() as folder:
            wanted = OutputConfig(folder=folder, seg=more, sr=more, html=more)
            write_study(segment_and_measure(), Path(folder), wanted)

    return {
        "segmenting": segment,
        "… and measuring": segment_and_measure,
        "… and tables, label maps, overlays": lambda: written(more=False),
        "… and SEG, SR, page: everything": lambda: written(more=True),
    }


def main() -> None:
    """Time the steps and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", default="resnet34")
    parser.add_argument("--size", type=int, default=320, help="pixels a side (320)")
    parser.add_argument("--batch", type=int, default=8, help="images per batch (8)")
    parser.add_argument("--passes", type=int, default=5, help="timed passes (5)")
    parser.add_argument("--members", type=int, default=1, help="networks (1)")
    parser.add_argument("--tta", default="none", choices=VIEWS)
    parser.add_argument("--only-discs", action="store_true", help="leave vertebrae out, as far as the study tells")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--checkpoint", nargs="+", type=Path, help="trained networks of composites, instead of random ones"
    )
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.checkpoint:
        ensemble, all_metadata = load_ensemble(given.checkpoint, given.tta)
        networks, spacing = all_metadata[0].config["name"], all_metadata[0].spacing
    else:
        ensemble, spacing = untrained(given.encoder, given.members, given.tta), None
        networks = f"{given.encoder}, untrained"
    accelerator = "gpu" if given.device == "cuda" else "cpu"
    trainer = TrainerConfig(accelerator=accelerator, devices=1, precision=given.precision)
    engine = Engine(ensemble, spacing, trainer, given.batch)
    with tempfile.TemporaryDirectory() as folder:
        write_phantom(Path(folder), seed=0, patient=1, image_size=given.size)
        (source,), _ = find_studies(Path(folder), Path(folder), Path(folder) / "out")
        start = time.perf_counter()
        study = source.read(InputRequirements(CHANNELS), "study_1")
        count = len(study.slices)
        reading = count / (time.perf_counter() - start)
        timed = steps(engine, study, {} if given.only_discs else {piece.name: "L4/5" for piece in study.slices})
        spent = medians(timed, given.passes)
    rows = [
        (name, f"{count / taken.seconds:.2f}", f"{1000 * taken.processor / count:.0f}") for name, taken in spent.items()
    ]
    at = "the image's own pixel" if spacing is None else f"{spacing:g} mm a pixel"
    show(
        ("slices/s", "ms of processor time a slice"),
        [("reading and registering, once", f"{reading:.2f}", ""), *rows],
        f"predict.py, {len(ensemble.members)} × {networks}, at {at}, tta={given.tta}, {count} slices of "
        f"{given.size} × {given.size}, batch {given.batch}, {given.threads} threads, median of {given.passes}",
        f"{engine.hardware}. Phantom data. Asked for, of a resnet34 that sees 320 × 320: {TARGET:g} slices/s.",
    )


if __name__ == "__main__":
    main()
