"""What the protocol does to the number, and how well one can do at all: a section of the reproduction's page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from lss_lightning.config.reproduce import MODELS, ReproduceConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.splits.fractions import Resubstitution
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.reporting.comparison import (
    Effect,
    ModelScores,
    ceiling_table,
    effect_table,
    plot_protocols,
    protocol_table,
    write_csv,
    write_effects,
)
from lss_lightning.reporting.page import Block, Bullets, Figure, Prose, Section, Table
from lss_lightning.reporting.paper import TABLE_2
from lss_lightning.workflows.comparison.finished import TrainedRun, runs_of
from lss_lightning.workflows.comparison.protocols import (
    DISTANCES,
    by_protocol,
    effect,
    labeller_ceiling,
    same_images,
    seen_patients,
    shift_ceiling,
)

HONEST = "patient"
"""The protocol that the others are held against."""

_WHY = (
    "Three protocols, the same models, data and settings. Resubstitution trains, selects and tests on all slices. "
    "Image, the paper's protocol, tests on a random tenth of the slices, so that other slices of nearly every test "
    "patient were seen in training. Patient keeps each patient in one part, which is what a new patient is.\n\n"
    "Which comparison is right? The resubstitution's test holds every slice of the patient split's test, so the two "
    "models can be held against each other on the same images, paired by patient: that isolates what having seen them "
    "is worth, and is the first table. As tested, over all images of each protocol's own test, the difference also "
    "holds the luck of which images were drawn. The image split's test has other images than the patient split's, most "
    "of which the image split's model was trained on, so nothing can be paired there by image. In these tables "
    "patients are drawn together for both tests and count wherever they have images: those in both tests are paired, "
    "the others independent. All intervals are over patients, never over slices or pixels; they do not hold what "
    "another seed would change. A class that one of two tests lacks counts in neither of the means whose difference is "
    "shown.\n\n"
    "The protocols differ in one thing more. Resubstitution trains on all slices, the patient split on those that test "
    "and validation leave, so that at the same number of epochs it also takes more steps: the shorter the training, "
    "the more of the difference is that."
)
_CEILING = (
    "How well can one do at all? The label of every slice is held against itself, moved: by half a pixel, one and two, "
    "in eight directions. The map is taken as squares of one class, so that a shift by part of a pixel covers parts of "
    "pixels. A score above such a line claims an agreement with the label finer than that shift."
)


def protocol_section(
    config: ReproduceConfig,
    trained: Sequence[TrainedRun],
    models: Sequence[str],
    protocols: Sequence[str],
    labels: LabelSet,
    files: Path,
    about: str,
) -> Section:
    """What the protocol does to the number, and the ceiling that labels set."""
    scores = [_model_scores(trained, model, protocols, labels) for model in models]
    data = SliceDataModule(config.data, Resubstitution(), cache=config.paths.cache)
    data.prepare_data()
    data.setup()
    shifts = shift_ceiling(data.slices, labels)
    agreement, agreement_note = labeller_ceiling(config.data.root, labels)

    figure = files / "protocols.png"
    caption = "IoU by class and protocol with 95 % intervals over patients; grey lines: what moving the labels costs."
    moved = dict(zip(DISTANCES, shifts, strict=True))
    plot_protocols(scores, moved, labels, figure, caption=f"{caption} {about}")
    overview = protocol_table(scores)
    write_csv(overview, files / "protocols.csv", about)

    effects = _effects(trained, models, protocols, labels)
    write_effects(effects, labels, files / "effects.csv", about)
    tables = [effect_table(found, labels, title) for title, found in effects.items()]
    ceilings = ceiling_table(
        DISTANCES, shifts, agreement, labels, f"IoU of {len(data.slices)} labels with themselves, moved"
    )
    write_csv(ceilings, files / "ceiling.csv", about)
    blocks: list[Block] = [
        Figure(figure, caption, "IoU of each class under each protocol, a panel for each model"),
        overview,
        Prose(_WHY),
        *tables,
        _seen_table(trained, models, protocols),
        Prose(f"{_CEILING} {_pixels(data)}"),
        ceilings,
        Bullets([agreement_note]),
    ]
    return Section("protocols", "What the protocol does to the number", blocks)


def _model_scores(trained: Sequence[TrainedRun], model: str, protocols: Sequence[str], labels: LabelSet) -> ModelScores:
    runs = {protocol: of for protocol in protocols if (of := runs_of(trained, model, protocol))}
    published: dict[str, float] = {}
    if labels.keys == LUMBAR.keys:
        work = TABLE_2[1 + MODELS.index(model)]
        published = {**work.iou, "mean_iou_anatomy": work.mean_iou_anatomy}
    return ModelScores(model, by_protocol(runs, labels), published)


def _effects(
    trained: Sequence[TrainedRun], models: Sequence[str], protocols: Sequence[str], labels: LabelSet
) -> dict[str, list[Effect]]:
    """Each contrast with the patient split by its title, models one by one."""
    effects: dict[str, list[Effect]] = {}
    for protocol in protocols:
        if protocol == HONEST or HONEST not in protocols:
            continue
        for model in models:
            # The seeds that both have: a run may have failed.
            seeds = {each.training.seed: each.run.tested for each in trained if _is(each, model, protocol)}
            other = {each.training.seed: each.run.tested for each in trained if _is(each, model, HONEST)}
            both = sorted(seeds.keys() & other.keys())
            flattered, honest = [seeds[seed] for seed in both], [other[seed] for seed in both]
            if not both:
                continue
            name = protocol.capitalize()
            if (cut := same_images(flattered, honest)) is not None:
                title = f"{name} − patient, on the patient split's test images, paired"
                effects.setdefault(title, []).append(effect(model, *cut, labels))
            title = f"{name} − patient, as tested, each on its own test images"
            effects.setdefault(title, []).append(effect(model, flattered, honest, labels))
    return effects


def _is(each: TrainedRun, model: str, protocol: str) -> bool:
    return (each.training.model, each.training.protocol) == (model, protocol)


def _seen_table(trained: Sequence[TrainedRun], models: Sequence[str], protocols: Sequence[str]) -> Table:
    """How many test patients were seen in training; the models of a protocol share its splits."""
    rows = []
    for protocol in protocols:
        of = next(of for model in models if (of := runs_of(trained, model, protocol)))
        found = seen_patients(of)
        slices = fmean(run.result.metrics["data"]["images"] for run in of)
        share = f"{found.seen} ({100 * found.seen / found.patients:.0f} %)"
        rows.append([protocol, f"{found.trained / len(of):g}", f"{slices:g}", str(found.patients), share])
    columns = ["Protocol", "Training slices", "Test slices", "Test patients", "Of them seen in training"]
    return Table(columns, rows, "Test patients whose slices were seen in training; patients summed over the seeds")


def _pixels(data: SliceDataModule) -> str:
    spacings = sorted({round(piece.spacing, 4) for piece in data.slices if piece.spacing is not None})
    if not spacings:
        return "The size of a pixel is unknown."
    return f"A pixel measures {' to '.join(f'{spacing:g}' for spacing in sorted({spacings[0], spacings[-1]}))} mm."
