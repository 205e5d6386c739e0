"""Slices per second that ``predict.py`` segments and measures, and the time of each of its steps.

``python bench/bench_predict.py [--encoder resnet34] [--size 320] [--checkpoint logs/…/best.ckpt …] [--tta flip]``

A phantom study in DICOM format is read and registered once. Then three tasks are repeated and interleaved: segmenting
it; segmenting and measuring it; and both with writing all outputs. Every slice is treated as passing through a disc,
which is the slowest case, since only such slices are drawn and reported. With ``--only-discs``, slices are classified
as by ``predict.py``. Medians of the time and of the processor time per slice, which other programs hardly affect, are
reported. Without a checkpoint, the networks are untrained and predict noise, so only the time of segmenting is
meaningful.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

# Works without installing the package.
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch

from bench.timing import measure_medians, print_table
from lss_lightning.config.sections import OutputConfig
from lss_lightning.config.trainer import TrainerConfig
from lss_lightning.data.processors import count_processors
from lss_lightning.data.studies import InputRequirements, Study, build_network_image, find_studies
from lss_lightning.labels import LUMBAR
from lss_lightning.models.ensemble import EnsembleModule, load_ensemble
from lss_lightning.models.segmentation import SegmentationModule
from lss_lightning.models.specs import UNetSpec
from lss_lightning.models.views import TTA_VIEWS
from lss_lightning.phantom.dicom import write_study as write_phantom
from lss_lightning.reporting.prediction import write_study_results
from lss_lightning.stenosis import ModelIdentity, StudyResult
from lss_lightning.workflows.prediction.engine import InferenceEngine, NetworkInput
from lss_lightning.workflows.prediction.findings import SegmentedSlice, measure_study

CHANNELS = "composite"
TARGET = 8.0
"""Required slices per second with a resnet34 at 320 × 320 on two cores with native bf16."""


def build_untrained(encoder: str, members: int, tta: str) -> EnsembleModule:
    """Build an ensemble of U-Nets with random weights."""
    torch.manual_seed(0)
    spec = UNetSpec("resunet", encoder, 3, len(LUMBAR), "transpose", [256, 128, 64, 32, 16])
    return EnsembleModule(
        [SegmentationModule(spec.build(), LUMBAR, [0.2] * 3, [0.2] * 3) for _ in range(members)], TTA_VIEWS[tta]
    )


def make_tasks(engine: InferenceEngine, study: Study, levels: dict[str, str]) -> dict[str, Callable[[], object]]:
    """Return the timed tasks by name.

    Args:
        engine: The networks.
        study: The study.
        levels: Levels given by the user, by slice name.
    """
    inputs = [
        NetworkInput(build_network_image(slice_.images, CHANNELS, None), slice_.spacing) for slice_ in study.slices
    ]

    def segment() -> list[object]:
        return list(engine.segment(inputs))

    def segment_and_measure() -> StudyResult:
        segmented = [
            SegmentedSlice.from_probabilities(slice_, image.pixels, probabilities, LUMBAR)
            for slice_, image, probabilities in zip(study.slices, inputs, engine.segment(inputs), strict=True)
        ]
        slices, labels, remarks = measure_study(segmented, LUMBAR, levels)
        models = (ModelIdentity("bench", "0" * 64),)
        return StudyResult(name="study_1", slices=slices, labels=labels, models=models, remarks=remarks)

    def write(*, everything: bool) -> None:
        with tempfile.TemporaryDirectory() as folder:
            output = OutputConfig(folder=folder, seg=everything, sr=everything, html=everything)
            write_study_results(segment_and_measure(), Path(folder), output)

    return {
        "segmenting": segment,
        "… and measuring": segment_and_measure,
        "… and tables, label maps, overlays": lambda: write(everything=False),
        "… and SEG, SR, page: everything": lambda: write(everything=True),
    }


def main() -> None:
    """Time the tasks and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", default="resnet34")
    parser.add_argument("--size", type=int, default=320, help="height and width in pixels (320)")
    parser.add_argument("--batch", type=int, default=8, help="images per batch (8)")
    parser.add_argument("--passes", type=int, default=5, help="timed passes (5)")
    parser.add_argument("--members", type=int, default=1, help="number of networks (1)")
    parser.add_argument("--tta", default="none", choices=TTA_VIEWS)
    parser.add_argument("--only-discs", action="store_true", help="exclude slices through vertebrae, like predict.py")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=count_processors())
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--checkpoint", nargs="+", type=Path, help="checkpoints trained on composites, instead of random weights"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.checkpoint:
        ensemble, all_metadata = load_ensemble(args.checkpoint, args.tta)
        networks, spacing = all_metadata[0].config["name"], all_metadata[0].spacing
    else:
        ensemble, spacing = build_untrained(args.encoder, args.members, args.tta), None
        networks = f"{args.encoder}, untrained"
    trainer = TrainerConfig(accelerator="gpu" if args.device == "cuda" else "cpu", devices=1, precision=args.precision)
    engine = InferenceEngine(ensemble, spacing, trainer, args.batch)
    with tempfile.TemporaryDirectory() as folder:
        write_phantom(Path(folder), seed=0, patient=1, image_size=args.size)
        (source,) = find_studies(Path(folder), Path(folder), Path(folder) / "out").studies
        start = time.perf_counter()
        study = source.read(InputRequirements(CHANNELS), "study_1")
        count = len(study.slices)
        reading = count / (time.perf_counter() - start)
        levels = {} if args.only_discs else {slice_.name: "L4/5" for slice_ in study.slices}
        timings = measure_medians(make_tasks(engine, study, levels), args.passes)
    rows = [
        (name, f"{count / timing.seconds:.2f}", f"{1000 * timing.processor / count:.0f}")
        for name, timing in timings.items()
    ]
    grid = "the spacing of the image" if spacing is None else f"{spacing:g} mm"
    print_table(
        ("slices/s", "ms of processor time per slice"),
        [("reading and registering, once", f"{reading:.2f}", ""), *rows],
        f"predict.py, {len(ensemble.members)} × {networks}, at {grid}, tta={args.tta}, {count} slices of "
        f"{args.size} × {args.size}, batch {args.batch}, {args.threads} threads, median of {args.passes}",
        f"{engine.hardware}. Phantom data. Required with a resnet34 at 320 × 320: {TARGET:g} slices/s.",
    )


if __name__ == "__main__":
    main()
