"""The report of a reproduction: the tables and figures of the paper, and the effect of the split protocol."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lss_lightning.display import shorten_path
from lss_lightning.reporting.comparison import TrainingCurves
from lss_lightning.reporting.page import Bullets, Facts, Page, Section
from lss_lightning.reporting.page.markdown import write_markdown
from lss_lightning.runs.layout import RunFolder
from lss_lightning.workflows.comparison.finished_runs import FinishedRun, find_common_labels
from lss_lightning.workflows.comparison.protocol_effects import pool_seeds
from lss_lightning.workflows.comparison.protocol_section import make_protocol_section
from lss_lightning.workflows.comparison.sections import (
    ComparisonReport,
    create_report_folder,
    join_disclaimers,
    make_curves_section,
    make_differences_section,
    make_related_section,
    make_scores_section,
    make_segmentation_section,
    make_settings_section,
)
from lss_lightning.workflows.comparison.trained_runs import REFERENCE_PROTOCOL, Reproduction

FIGURES_FOLDER = "reproduction"
"""The folder of the figures and CSV files next to ``reproduction.md``, so that both can be copied to ``docs/``."""


def write_reproduction(reproduction: Reproduction, run_folder: RunFolder) -> Path:
    """Write ``report/``: ``index.html``, ``reproduction.md``, and their figures and CSV files.

    Args:
        reproduction: The finished training runs.
        run_folder: The run directory of the reproduction, which must exist.

    Returns:
        The report folder.

    Raises:
        UserError: If the report folder already exists.
    """
    folder = create_report_folder(run_folder)
    (folder / FIGURES_FOLDER).mkdir()
    config, models, protocols = reproduction.config, reproduction.models, reproduction.protocols
    labels, disclaimer = find_common_labels(reproduction.runs), join_disclaimers(reproduction.runs)
    seeds = len({item.training.seed for item in reproduction.trained})
    note = f"Data: {config.data.name}, {seeds} seed{'s' * (seeds > 1)} each. {disclaimer}"
    report = ComparisonReport(folder / FIGURES_FOLDER, labels, note)

    reference = REFERENCE_PROTOCOL if REFERENCE_PROTOCOL in protocols else protocols[-1]
    columns = {
        protocol: [
            pool_seeds(runs, f"{model}, {protocol}", labels)
            for model in models
            if (runs := reproduction.find_runs(model, protocol))
        ]
        for protocol in protocols
    }
    first_seed = [runs[0] for model in models if (runs := reproduction.find_runs(model, reference))]
    sections = [
        _make_about_section(reproduction),
        make_protocol_section(report, reproduction),
        *(
            _make_scores_section(report, protocol, columns[protocol], notes=protocol == protocols[0])
            for protocol in protocols
        ),
        make_differences_section(report, columns[reference]),
        make_curves_section(report, _collect_curves(reproduction)),
        make_segmentation_section(report, first_seed, config.reproduce.examples, config.trainer, config.paths),
        make_settings_section(report, first_seed, reproduction.runs),
        make_related_section(report),
    ]
    page = Page(
        title=f"Reproduction of Altun & Alkan (2023) on data={config.data.name}",
        lead=(
            "The models, tables and figures of Lumbar Spinal Stenosis Analysis with Deep Learning Based Decision "
            f"Support Systems, GU J Sci 36(3). Each model is trained under {len(protocols)} protocols."
        ),
        disclaimer=disclaimer,
        sections=sections,
    )
    page.write(folder / run_folder.report_page.name)
    write_markdown(page, folder / "reproduction.md")
    return folder


def _make_about_section(reproduction: Reproduction) -> Section:
    config, trained = reproduction.config, reproduction.trained
    size = config.reproduce.chosen
    folder = shorten_path(trained[0].run.run_folder.path.parent)
    facts = {
        "Data": f"{config.data.name}, {config.data.channels}",
        "Size": config.reproduce.size,
        "Changes to Table 1 of the paper": ", ".join(size.overrides) or "none",
        "Seeds": ", ".join(map(str, size.seeds)),
        "Runs": f"{len(trained)} of {len(config.trainings)}, in {folder}",
    }
    notes = [
        "ResNet, Inception and VGG16 of the paper are taken to be resnet34, inception_v3 and vgg16 with random initial "
        "weights."
    ]
    notes += [f"Missing: {failure}." for failure in reproduction.failures]
    return Section("about", "Runs", [Facts(facts), Bullets(notes)])


def _make_scores_section(
    report: ComparisonReport, protocol: str, columns: Sequence[FinishedRun], *, notes: bool
) -> Section:
    folder = report.folder / f"table2_{protocol}"
    folder.mkdir()
    section = make_scores_section(replace(report, folder=folder), columns, notes=notes)
    return Section(f"table-2-{protocol}", f"Table 2: {protocol} protocol", section.blocks)


def _collect_curves(reproduction: Reproduction) -> list[TrainingCurves]:
    curves = []
    for model in reproduction.models:
        for protocol in reproduction.protocols:
            results = [run.result for run in reproduction.find_runs(model, protocol) if run.result.rows]
            if results:
                rows, best = [result.rows for result in results], [result.best_epoch for result in results]
                curves.append(TrainingCurves(f"{model}, {protocol}", rows, best))
    return curves
