"""How many slices a second ``predict.py`` segments and measures, and what each of its steps costs.

``python bench/bench_predict.py [--encoder resnet34] [--size 320] [--device cuda] [--tta flip] [--members 3]``

A phantom study as DICOM is read and registered; then, repeatedly and interleaved, its slices are segmented, segmented
and measured, and written with everything but DICOM objects and the page. The networks are untrained: what they draw is
noise, which costs measuring more time than anatomy does, so with ``--checkpoint`` trained ones are taken instead.
Medians are shown; reading and registering is timed once.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

# A checkout's package need not be installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from rich.console import Console
from rich.table import Table

from lss_lightning.config.sections import OutputConfig, TrainerConfig
from lss_lightning.data.phantom.dicom import write_study as write_phantom
from lss_lightning.data.studies import Study, Wanted, find_studies, network_image
from lss_lightning.labels import LUMBAR
from lss_lightning.models.checkpoint import NetworkSpec
from lss_lightning.models.predictor import Predictor, load_predictor
from lss_lightning.models.segmenter import Segmenter
from lss_lightning.models.views import VIEWS
from lss_lightning.reporting.prediction import write_study
from lss_lightning.stenosis import ModelIdentity, StudyResult
from lss_lightning.workflows.predicting.judging import judge, measured
from lss_lightning.workflows.predicting.segmenting import Engine, Shown

CHANNELS = "composite"


def untrained(encoder: str, members: int, tta: str) -> Predictor:
    """U-Nets as training builds them, with random weights."""
    torch.manual_seed(0)
    spec = NetworkSpec("resunet", encoder, 3, len(LUMBAR), "transpose", [256, 128, 64, 32, 16])
    return Predictor([Segmenter(spec.build(), LUMBAR, [0.2] * 3, [0.2] * 3) for _ in range(members)], VIEWS[tta])


def repeated(study: Study, count: int) -> Study:
    """The study's slices over and over."""
    pieces = [study.slices[index % len(study.slices)] for index in range(count)]
    return Study(slices=tuple(replace(piece, name=f"slice_{index:03d}") for index, piece in enumerate(pieces)))


def steps(engine: Engine, study: Study) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    shown = [Shown(network_image(piece.images, CHANNELS, None), piece.spacing) for piece in study.slices]

    def segment() -> list[object]:
        return list(engine.segment(shown))

    def segment_and_measure() -> StudyResult:
        segmented = [
            measured(piece, image.pixels, each, LUMBAR)
            for piece, image, each in zip(study.slices, shown, engine.segment(shown), strict=True)
        ]
        slices, remarks = judge(segmented, LUMBAR, {})
        models = (ModelIdentity("bench", "0" * 64),)
        return StudyResult(name="study_1", slices=slices, labels=LUMBAR, models=models, remarks=remarks)

    def everything() -> None:
        with tempfile.TemporaryDirectory() as folder:
            wanted = OutputConfig(folder=folder, seg=False, sr=False, html=False)
            write_study(segment_and_measure(), Path(folder), wanted)

    return {
        "segmenting": segment,
        "segmenting and measuring": segment_and_measure,
        "… and label maps, overlays, tables": everything,
    }


def main() -> None:
    """Time the steps and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--encoder", default="resnet34")
    parser.add_argument("--size", type=int, default=320, help="pixels a side (320)")
    parser.add_argument("--slices", type=int, default=48, help="per pass (48)")
    parser.add_argument("--batch", type=int, default=8, help="images per batch (8)")
    parser.add_argument("--passes", type=int, default=5, help="timed passes (5)")
    parser.add_argument("--members", type=int, default=1, help="networks (1)")
    parser.add_argument("--tta", default="none", choices=VIEWS)
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument(
        "--checkpoint", nargs="+", type=Path, help="trained networks of composites, instead of random ones"
    )
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.checkpoint:
        predictor, cards = load_predictor(given.checkpoint, given.tta)
        spacing = cards[0].spacing
    else:
        predictor, spacing = untrained(given.encoder, given.members, given.tta), None
    accelerator = "gpu" if given.device == "cuda" else "cpu"
    engine = Engine(
        predictor, spacing, TrainerConfig(accelerator=accelerator, devices=1, precision=given.precision), given.batch
    )
    with tempfile.TemporaryDirectory() as folder:
        write_phantom(Path(folder), seed=0, patient=1, image_size=given.size)
        (source,), _ = find_studies(Path(folder), Path(folder), Path(folder) / "out")
        start = time.perf_counter()
        read = source.read(Wanted(CHANNELS), "study_1")
        reading = len(read.slices) / (time.perf_counter() - start)
        timed = steps(engine, repeated(read, given.slices))
        seconds: dict[str, list[float]] = {name: [] for name in timed}
        for number in range(given.passes + 1):
            for name, run in timed.items():
                start = time.perf_counter()
                run()
                if number:  # the first pass warms up
                    seconds[name].append(time.perf_counter() - start)
    table = Table(
        title=f"predict.py, {len(predictor.members)} × {given.encoder}, tta={given.tta}, {given.size} × {given.size}, "
        f"batch {given.batch}, {given.threads} threads, median of {given.passes}",
        caption=f"{engine.hardware}. Phantom data.",
        title_justify="left",
    )
    table.add_column("")
    table.add_column("slices/s", justify="right")
    table.add_row("reading and registering, once", f"{reading:.2f}")
    for name, taken in seconds.items():
        table.add_row(name, f"{given.slices / statistics.median(taken):.2f}")
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
