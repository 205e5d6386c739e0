"""The pages of a reproduction: the paper's tables and figures, and what the protocol does to the number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from lss_lightning.config import ReproduceConfig
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.splits.resubstitution import Resubstitution
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.reporting.comparison import (
    Curves,
    Effect,
    ModelScores,
    ceiling_table,
    effect_table,
    plot_protocols,
    protocol_table,
    write_csv,
    write_effects,
)
from lss_lightning.reporting.page import Block, Bullets, Facts, Figure, Page, Prose, Section, Table
from lss_lightning.reporting.page.markdown import write_markdown
from lss_lightning.reporting.paper import TABLE_2
from lss_lightning.reproduction import MODELS, Training
from lss_lightning.workflows.compare import (
    curves_section,
    differences_section,
    joined_disclaimers,
    new_report,
    related_section,
    scores_section,
    segmented_section,
    settings_section,
)
from lss_lightning.workflows.finished import FinishedRun, common_labels
from lss_lightning.workflows.protocols import (
    DISTANCES,
    by_protocol,
    effect,
    labeller_ceiling,
    pooled,
    same_images,
    seen_patients,
    shift_ceiling,
)
from lss_lightning.workflows.subject import shown_path

PICTURES = "reproduction"
"""Folder of the pictures and CSV files, beside ``reproduction.md``, so that both can be copied to ``docs/``."""

HONEST = "patient"

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
    "another seed would change."
)
_CEILING = (
    "How well can one do at all? The label of every slice is held against itself, moved: by half a pixel, one and two, "
    "in eight directions. The map is taken as squares of one class, so that a shift by part of a pixel covers parts of "
    "pixels. A score above such a line claims an agreement with the label finer than that shift."
)


@dataclass(frozen=True)
class Trained:
    """A training of the plan, and the run it became."""

    training: Training
    run: FinishedRun


def write_pages(config: ReproduceConfig, trained: Sequence[Trained], failed: Sequence[str], folder: Path) -> Path:
    """Write ``report/``: ``index.html``, ``reproduction.md``, and its pictures and CSV files.

    Args:
        config: Of the reproduction.
        trained: At least one.
        failed: The trainings that are missing, with the reason.
        folder: An existing one.

    Returns:
        The report's folder.
    """
    report = new_report(folder)
    files = report / PICTURES
    files.mkdir()
    runs = [each.run for each in trained]
    labels = common_labels(runs)
    disclaimer = joined_disclaimers(runs)
    seeds = len({each.training.seed for each in trained})
    about = f"Data: {config.data.name}, {seeds} seed{'s' * (seeds > 1)} each. {disclaimer}"

    models = [name for name in MODELS if any(each.training.model == name for each in trained)]
    protocols = [name for name in config.reproduce.protocols if any(each.training.protocol == name for each in trained)]
    honest = HONEST if HONEST in protocols else protocols[-1]
    columns = {
        protocol: [
            pooled(of, f"{model}, {protocol}", labels) for model in models if (of := _runs(trained, model, protocol))
        ]
        for protocol in protocols
    }
    first_seed = [of[0] for model in models if (of := _runs(trained, model, honest))]
    sections = [
        _about_section(config, trained, failed),
        _protocol_section(config, trained, models, protocols, labels, files, about),
        *(_scores(protocol, protocols[0], columns[protocol], labels, files, about) for protocol in protocols),
        differences_section(columns[honest], labels, files, about),
        curves_section(_curves(trained, models, protocols), [], files, about),
        segmented_section(first_seed, labels, files, about, config.reproduce.examples, config.trainer, config.paths),
        settings_section(first_seed, runs, files, about),
        related_section(files),
    ]
    page = Page(
        title=f"Reproduction of Altun & Alkan (2023) on {config.data.name}",
        lead=(
            "Lumbar Spinal Stenosis Analysis with Deep Learning Based Decision Support Systems, GU J Sci 36(3): its "
            f"models, tables and figures, each model trained under {len(protocols)} protocols."
        ),
        disclaimer=disclaimer,
        sections=sections,
    )
    page.write(report / "index.html")
    write_markdown(page, report / "reproduction.md")
    return report


def _runs(trained: Sequence[Trained], model: str, protocol: str) -> list[FinishedRun]:
    """The runs of a model under a protocol, a seed each."""
    return [each.run for each in trained if (each.training.model, each.training.protocol) == (model, protocol)]


def _about_section(config: ReproduceConfig, trained: Sequence[Trained], failed: Sequence[str]) -> Section:
    size = config.reproduce.chosen
    facts = {
        "Data": f"{config.data.name}, {config.data.channels}",
        "Size": config.reproduce.size,
        "Beside the paper's Table 1": ", ".join(size.overrides) or "nothing",
        "Seeds": ", ".join(map(str, size.seeds)),
        "Runs": f"{len(trained)} of {len(config.trainings)}, in {shown_path(trained[0].run.folder.parent)}",
    }
    notes = [
        "ResNet, Inception and VGG16 of the paper are read as resnet34, inception_v3 and vgg16, from random weights."
    ]
    notes += [f"Missing: {each}." for each in failed]
    return Section("about", "What was run", [Facts(facts), Bullets(notes)])


def _protocol_section(
    config: ReproduceConfig,
    trained: Sequence[Trained],
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


def _model_scores(trained: Sequence[Trained], model: str, protocols: Sequence[str], labels: LabelSet) -> ModelScores:
    runs = {protocol: of for protocol in protocols if (of := _runs(trained, model, protocol))}
    published: dict[str, float] = {}
    if labels.keys == LUMBAR.keys:
        work = TABLE_2[1 + MODELS.index(model)]
        published = {**work.iou, "mean_iou_anatomy": work.mean_iou_anatomy}
    return ModelScores(model, by_protocol(runs, labels), published)


def _effects(
    trained: Sequence[Trained], models: Sequence[str], protocols: Sequence[str], labels: LabelSet
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


def _is(each: Trained, model: str, protocol: str) -> bool:
    return (each.training.model, each.training.protocol) == (model, protocol)


def _seen_table(trained: Sequence[Trained], models: Sequence[str], protocols: Sequence[str]) -> Table:
    """How many test patients were seen in training; the models of a protocol share its splits."""
    rows = []
    for protocol in protocols:
        of = next(of for model in models if (of := _runs(trained, model, protocol)))
        found = seen_patients(of)
        slices = fmean(run.result.metrics["data"]["images"] for run in of)
        rows.append(
            [protocol, f"{slices:g}", str(found.patients), f"{found.seen} ({100 * found.seen / found.patients:.0f} %)"]
        )
    columns = ["Protocol", "Test slices", "Test patients", "Of them seen in training"]
    return Table(columns, rows, "Test patients whose slices were seen in training; patients summed over the seeds")


def _pixels(data: SliceDataModule) -> str:
    spacings = sorted({round(piece.spacing, 4) for piece in data.slices if piece.spacing is not None})
    if not spacings:
        return "The size of a pixel is unknown."
    return f"A pixel measures {' to '.join(f'{spacing:g}' for spacing in sorted({spacings[0], spacings[-1]}))} mm."


def _scores(
    protocol: str, first: str, columns: Sequence[FinishedRun], labels: LabelSet, files: Path, about: str
) -> Section:
    folder = files / f"table2_{protocol}"
    folder.mkdir()
    section = scores_section(columns, labels, folder, about, notes=protocol == first)
    return Section(f"table-2-{protocol}", f"Table 2: {protocol} protocol", section.blocks)


def _curves(trained: Sequence[Trained], models: Sequence[str], protocols: Sequence[str]) -> list[Curves]:
    curves = []
    for model in models:
        for protocol in protocols:
            results = [run.result for run in _runs(trained, model, protocol) if run.result.rows]
            if results:
                rows, best = [result.rows for result in results], [result.best_epoch for result in results]
                curves.append(Curves(f"{model}, {protocol}", rows, best))
    return curves
