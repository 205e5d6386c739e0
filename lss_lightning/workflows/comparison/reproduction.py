"""The pages of a reproduction: the paper's tables and figures, and what the protocol does to the number."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lss_lightning.config.reproduce import MODELS, ReproduceConfig
from lss_lightning.display import shown_path
from lss_lightning.labels import LabelSet
from lss_lightning.reporting.comparison import Curves
from lss_lightning.reporting.page import Bullets, Facts, Page, Section
from lss_lightning.reporting.page.markdown import write_markdown
from lss_lightning.workflows.comparison.finished import FinishedRun, TrainedRun, common_labels, runs_of
from lss_lightning.workflows.comparison.protocol_section import HONEST, protocol_section
from lss_lightning.workflows.comparison.protocols import pooled
from lss_lightning.workflows.comparison.sections import (
    curves_section,
    differences_section,
    joined_disclaimers,
    new_report,
    related_section,
    scores_section,
    segmented_section,
    settings_section,
)

PICTURES = "reproduction"
"""Folder of the pictures and CSV files, beside ``reproduction.md``, so that both can be copied to ``docs/``."""


def write_reproduction(
    config: ReproduceConfig, trained: Sequence[TrainedRun], failed: Sequence[str], folder: Path
) -> Path:
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
            pooled(of, f"{model}, {protocol}", labels) for model in models if (of := runs_of(trained, model, protocol))
        ]
        for protocol in protocols
    }
    first_seed = [of[0] for model in models if (of := runs_of(trained, model, honest))]
    sections = [
        _about_section(config, trained, failed),
        protocol_section(config, trained, models, protocols, labels, files, about),
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


def _about_section(config: ReproduceConfig, trained: Sequence[TrainedRun], failed: Sequence[str]) -> Section:
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


def _scores(
    protocol: str, first: str, columns: Sequence[FinishedRun], labels: LabelSet, files: Path, about: str
) -> Section:
    folder = files / f"table2_{protocol}"
    folder.mkdir()
    section = scores_section(columns, labels, folder, about, notes=protocol == first)
    return Section(f"table-2-{protocol}", f"Table 2: {protocol} protocol", section.blocks)


def _curves(trained: Sequence[TrainedRun], models: Sequence[str], protocols: Sequence[str]) -> list[Curves]:
    curves = []
    for model in models:
        for protocol in protocols:
            results = [run.result for run in runs_of(trained, model, protocol) if run.result.rows]
            if results:
                rows, best = [result.rows for result in results], [result.best_epoch for result in results]
                curves.append(Curves(f"{model}, {protocol}", rows, best))
    return curves
