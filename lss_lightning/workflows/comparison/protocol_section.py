"""The report section on the effect of the split protocol and on the highest score that the labels allow."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from lss_lightning.config.reproduce import MODELS
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.splits.fractions import Resubstitution
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.reporting.comparison import (
    ModelScores,
    ProtocolEffect,
    make_ceiling_table,
    make_effect_table,
    make_protocol_table,
    plot_protocols,
    write_effects,
    write_table_csv,
)
from lss_lightning.reporting.page import Block, Bullets, Figure, Prose, Section, Table
from lss_lightning.reporting.paper import TABLE_2
from lss_lightning.workflows.comparison.protocol_effects import (
    SHIFT_DISTANCES,
    compute_annotator_ceiling,
    compute_effect,
    compute_shift_ceiling,
    count_seen_patients,
    pool_by_protocol,
    restrict_to_reference_images,
)
from lss_lightning.workflows.comparison.sections import ComparisonReport
from lss_lightning.workflows.comparison.trained_runs import REFERENCE_PROTOCOL, Reproduction

_EXPLANATION = (
    "Three protocols with the same models, data and settings. Resubstitution trains, selects and tests on all slices. "
    "Image, the protocol of the paper, tests on a random tenth of the slices, so other slices of nearly every test "
    "patient were seen in training. Patient keeps all slices of a patient in one part, so the test patients are new to "
    "the model.\n\n"
    "Which comparison is right? The test set of resubstitution holds every slice of the patient split's test set, so "
    "the two models can be compared on the same images, paired by patient. This isolates the effect of having seen the "
    "images in training, and is the first table. As tested, over all images of each protocol's own test set, the "
    "difference also depends on which images were drawn. The test set of the image split holds other images than that "
    "of the patient split, and most of the latter were in the training set of the image split, so images cannot be "
    "paired. In these tables patients are resampled jointly for both tests and count wherever they have images: "
    "patients in both tests are paired, the others are independent. All intervals are over patients, never over slices "
    "or pixels. They do not cover the variation between seeds. A class that is missing in one of the two tests counts "
    "in neither of the means whose difference is shown.\n\n"
    "The protocols also differ in the length of training. Resubstitution trains on all slices, the patient split only "
    "on those outside test and validation set, so resubstitution takes more steps in the same number of epochs. The "
    "shorter the training, the more of the difference is due to this."
)
_CEILING = (
    "What is the highest score that the labels allow? The label of every slice is compared with itself after a shift "
    "by half a pixel, one pixel and two pixels in eight directions. The map is treated as squares of one class, so a "
    "shift by part of a pixel covers parts of pixels. A score above such a line claims an agreement with the label "
    "that is finer than the shift."
)


def make_protocol_section(report: ComparisonReport, reproduction: Reproduction) -> Section:
    """Create the section, and write ``protocols.png``, ``protocols.csv``, ``effects.csv`` and ``ceiling.csv``.

    Args:
        report: The report.
        reproduction: The finished training runs.
    """
    config, folder, labels = reproduction.config, report.folder, report.labels
    scores = [_collect_scores(reproduction, model, labels) for model in reproduction.models]
    data = SliceDataModule(config.data, Resubstitution(), cache=config.paths.cache)
    data.prepare_data()
    data.setup()
    shifts = compute_shift_ceiling(data.slices, labels)
    agreement, agreement_note = compute_annotator_ceiling(config.data.root, labels)

    figure = folder / "protocols.png"
    caption = (
        "IoU by class and protocol with 95 % intervals over patients; grey lines: IoU of the labels with themselves, "
        "shifted."
    )
    shift_scores = dict(zip(SHIFT_DISTANCES, shifts, strict=True))
    plot_protocols(scores, shift_scores, labels, figure, caption=f"{caption} {report.note}")
    overview = make_protocol_table(scores)
    write_table_csv(overview, folder / "protocols.csv", report.note)

    effects = _compute_effects(reproduction, labels)
    write_effects(effects, labels, folder / "effects.csv", report.note)
    tables = [make_effect_table(models, labels, title) for title, models in effects.items()]
    title = f"IoU of {len(data.slices)} labels with themselves, shifted"
    ceilings = make_ceiling_table(SHIFT_DISTANCES, shifts, agreement, labels, title)
    write_table_csv(ceilings, folder / "ceiling.csv", report.note)
    blocks: list[Block] = [
        Figure(figure, caption, "IoU of each class under each protocol, one panel per model"),
        overview,
        Prose(_EXPLANATION),
        *tables,
        _make_seen_table(reproduction),
        Prose(f"{_CEILING} {_describe_spacing(data)}"),
        ceilings,
        Bullets([agreement_note]),
    ]
    return Section("protocols", "Effect of the protocol on the score", blocks)


def _collect_scores(reproduction: Reproduction, model: str, labels: LabelSet) -> ModelScores:
    runs = {protocol: reproduction.find_runs(model, protocol) for protocol in reproduction.protocols}
    published: dict[str, float] = {}
    if labels.keys == LUMBAR.keys:
        work = TABLE_2[1 + MODELS.index(model)]
        published = {**work.iou, "mean_iou_anatomy": work.mean_iou_anatomy}
    pooled = pool_by_protocol({protocol: seeds for protocol, seeds in runs.items() if seeds}, labels)
    return ModelScores(model, pooled, published)


def _compute_effects(reproduction: Reproduction, labels: LabelSet) -> dict[str, list[ProtocolEffect]]:
    """Return the differences from the reference protocol: for each title, one effect per model."""
    effects: dict[str, list[ProtocolEffect]] = {}
    for protocol in reproduction.protocols:
        if protocol == REFERENCE_PROTOCOL or REFERENCE_PROTOCOL not in reproduction.protocols:
            continue
        for model in reproduction.models:
            by_seed, reference_by_seed = (
                {item.training.seed: item.run.images for item in reproduction.trained if item.is_of(model, name)}
                for name in (protocol, REFERENCE_PROTOCOL)
            )
            # Only seeds with a run under both protocols are used, because a training run may have failed.
            seeds = sorted(by_seed.keys() & reference_by_seed.keys())
            if not seeds:
                continue
            tests, reference = [by_seed[seed] for seed in seeds], [reference_by_seed[seed] for seed in seeds]
            name = protocol.capitalize()
            if (restricted := restrict_to_reference_images(tests, reference)) is not None:
                title = f"{name} − patient, on the patient split's test images, paired"
                effects.setdefault(title, []).append(compute_effect(model, *restricted, labels))
            title = f"{name} − patient, as tested, each on its own test images"
            effects.setdefault(title, []).append(compute_effect(model, tests, reference, labels))
    return effects


def _make_seen_table(reproduction: Reproduction) -> Table:
    """Create a table of the test patients seen in training. All models share the splits of a protocol."""
    rows: list[Sequence[str]] = []
    for protocol in reproduction.protocols:
        runs = next(runs for model in reproduction.models if (runs := reproduction.find_runs(model, protocol)))
        counts = count_seen_patients(runs)
        slices = fmean(run.result.metrics["data"]["images"] for run in runs)
        share = f"{counts.seen} ({100 * counts.seen / counts.patients:.0f} %)"
        rows.append([protocol, f"{counts.trained / len(runs):g}", f"{slices:g}", str(counts.patients), share])
    columns = ["Protocol", "Training slices", "Test slices", "Test patients", "Seen in training"]
    return Table(columns, rows, "Test patients whose slices were seen in training; patients summed over the seeds")


def _describe_spacing(data: SliceDataModule) -> str:
    spacings = sorted({round(loaded.spacing, 4) for loaded in data.slices if loaded.spacing is not None})
    if not spacings:
        return "The pixel spacing is unknown."
    ends = dict.fromkeys(f"{spacing:g}" for spacing in (spacings[0], spacings[-1]))
    return f"The pixel spacing is {' to '.join(ends)} mm."
