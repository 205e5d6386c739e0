"""The effect of the protocol on scores: scores by protocol, differences, and ceilings due to label accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lss_lightning.files import write_csv
from lss_lightning.labels import LabelSet
from lss_lightning.metrics.overlap import Scores
from lss_lightning.reporting import style
from lss_lightning.reporting.comparison.differences import format_difference
from lss_lightning.reporting.page import Table
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import (
    MEAN_ANATOMY_ROW,
    Metrics,
    format_interval,
    format_score,
    list_score_names,
    round_score,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PROTOCOL_STYLES = {
    "resubstitution": ("#d55e00", "s", "Resubstitution: tested on training images"),
    "image": ("#e69f00", "^", "Image: random images, as in the paper"),
    "patient": ("#0072b2", "o", "Patient: tested on unseen patients"),
}
"""Colour, marker and description by protocol."""

_SPACING = 0.23  # rows, between two protocols


@dataclass(frozen=True)
class ModelScores:
    """The scores of a model under each protocol.

    Attributes:
        model: Name of the model.
        by_protocol: Content of ``metrics.json`` for each protocol.
        published: IoU of this model in the paper by class key, and the mean over the anatomical classes as
            ``mean_iou_anatomy``; empty if the paper does not report this model.
    """

    model: str
    by_protocol: Mapping[str, Metrics]
    published: Mapping[str, float]


@dataclass(frozen=True)
class ProtocolEffect:
    """The effect of a protocol on the scores of a model.

    Attributes:
        model: Name of the model.
        difference: Difference from the patient protocol, (K + 2,), as computed by
            :func:`~lss_lightning.metrics.overlap.difference_of_iou_and_means`.
        ci95: 95 % confidence interval of the difference, (K + 2, 2); NaN if undefined.
    """

    model: str
    difference: Scores
    ci95: Scores


def make_protocol_table(models: Sequence[ModelScores]) -> Table:
    """Make a table of the mean IoU over anatomical classes of each model under each protocol."""
    protocols = list(dict.fromkeys(protocol for model in models for protocol in model.by_protocol))
    rows = []
    for model in models:
        cells = [
            format_interval(metrics["mean_iou_anatomy"], metrics["mean_iou_anatomy_ci95"])
            if (metrics := model.by_protocol.get(protocol))
            else MISSING
            for protocol in protocols
        ]
        rows.append([model.model, *cells, format_score(model.published.get("mean_iou_anatomy"))])
    headings = [protocol.capitalize() for protocol in protocols]
    caption = "Mean IoU over anatomical classes by protocol, each on its own test images"
    return Table(["Model", *headings, "Paper"], rows, caption)


def make_effect_table(effects: Sequence[ProtocolEffect], labels: LabelSet, caption: str) -> Table:
    """Make a table of effects with a row for each score and a column for each model.

    Args:
        effects: The effect of one protocol on each model.
        labels: The classes.
        caption: Caption of the table.
    """
    rows = [
        [name, *(_format_effect(effect, index) for effect in effects)]
        for index, name in enumerate(list_score_names(labels))
    ]
    return Table(["Score", *(effect.model for effect in effects)], rows[: len(labels)], caption, rows[len(labels) :])


def write_effects(effects: Mapping[str, Sequence[ProtocolEffect]], labels: LabelSet, path: Path, note: str) -> None:
    """Write effects as numbers, with a row for each contrast, model and score.

    Args:
        effects: The effects on each model, by name of the contrast.
        labels: The classes.
        path: CSV file to write.
        note: Text of the last line of the file.
    """
    rows: list[list[Any]] = []
    for contrast, models in effects.items():
        for effect in models:
            for name, *values in zip(list_score_names(labels), effect.difference, *effect.ci95.T, strict=True):
                rows.append([contrast, effect.model, name, *map(round_score, values)])
    write_csv(path, ["contrast", "model", "score", "difference", "ci95_low", "ci95_high"], [*rows, [f"# {note}"]])


def make_ceiling_table(
    distances: Sequence[float], shifts: Scores, agreement: Scores | None, labels: LabelSet, caption: str
) -> Table:
    """Make a table of the IoU of the labels with shifted copies of themselves, and of the IoU between annotators.

    Args:
        distances: D distances in pixels.
        shifts: IoU of the labels with copies of themselves shifted by each distance, (D, K).
        agreement: IoU between annotators, (K,), or None if their label maps are not available.
        labels: The K classes.
        caption: Caption of the table, which should name the labels.
    """
    columns = [*shifts, *([] if agreement is None else [agreement])]
    anatomy = list(labels.anatomical)
    rows = [[label.name, *(format_score(values[index]) for values in columns)] for index, label in enumerate(labels)]
    means = [format_score(float(np.mean(values[anatomy]))) for values in columns]
    headings = [f"Shifted by {distance:g} px" for distance in distances]
    headings += [] if agreement is None else ["Between annotators"]
    return Table(["Class", *headings], rows, caption, foot=[[MEAN_ANATOMY_ROW, *means]])


def plot_protocols(
    models: Sequence[ModelScores], moved: Mapping[float, Scores], labels: LabelSet, path: Path, *, caption: str
) -> None:
    """Write the figure of :func:`draw_protocols` to a PNG file."""
    with style.context():
        style.save(draw_protocols(models, moved, labels, caption=caption), path)


def draw_protocols(
    models: Sequence[ModelScores], moved: Mapping[float, Scores], labels: LabelSet, *, caption: str
) -> Figure:
    """Draw the IoU of each anatomical class under each protocol with its confidence interval, in one panel per model.

    Args:
        models: The scores of the models, at least one.
        moved: IoU of the labels with shifted copies of themselves, (K,), by distance in pixels; drawn as ceilings.
        labels: The K classes.
        caption: Text below the figure.
    """
    with style.context():
        names = [*(labels[index].name for index in labels.anatomical), "Mean of these"]
        figure, body = style.new_figure(1.5 + 0.45 * len(names), caption)
        panels = body.subplots(1, len(models), sharex=True, sharey=True, squeeze=False)[0]
        for axes, model in zip(panels, models, strict=True):
            _draw_model(axes, model, moved, labels)
            axes.set_title(model.model)
            axes.set_xlabel("IoU, pooled")
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        panels[0].set_xlim(right=1)
        _draw_legend(body, models, moved)
        return figure


def _draw_model(axes: Axes, model: ModelScores, moved: Mapping[float, Scores], labels: LabelSet) -> None:
    indices = list(labels.anatomical)
    keys = [labels.keys[index] for index in indices]
    for values, shade in zip(moved.values(), _make_shades(len(moved)), strict=True):
        ceilings = [*values[indices], np.mean(values[indices])]
        rows = range(len(ceilings))
        axes.vlines(ceilings, [row - 0.42 for row in rows], [row + 0.42 for row in rows], color=shade, linewidth=1.6)
    for position, (protocol, metrics) in enumerate(model.by_protocol.items()):
        colour, marker, _ = _PROTOCOL_STYLES[protocol]
        scores = [*(metrics["iou"][key] for key in keys), metrics["mean_iou_anatomy"]]
        bounds = [*(metrics["iou_ci95"][key] for key in keys), metrics["mean_iou_anatomy_ci95"]]
        for row, (score, interval) in enumerate(zip(scores, bounds, strict=True)):
            y = row + _SPACING * (position - (len(model.by_protocol) - 1) / 2)
            if interval is not None:
                axes.hlines(y, *interval, color=colour, linewidth=1.4)
            if score is not None:
                axes.plot(score, y, marker, color=colour, markersize=4.5, clip_on=False)
    for row, key in enumerate([*keys, "mean_iou_anatomy"]):
        if key in model.published:
            axes.plot(model.published[key], row, "x", color="black", markersize=6, markeredgewidth=1.4, clip_on=False)
    for edge in range(len(keys)):
        axes.axhline(edge + 0.5, color="#e5e5e5", linewidth=0.5)
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="y", length=0)


def _make_shades(number: int) -> list[str]:
    """Return shades of grey from light (smallest distance) to dark (greatest distance)."""
    return [f"{level:.2f}" for level in np.linspace(0.75, 0.45, number)]


def _draw_legend(body: Any, models: Sequence[ModelScores], moved: Mapping[float, Scores]) -> None:
    from matplotlib.lines import Line2D

    protocols = dict.fromkeys(protocol for model in models for protocol in model.by_protocol)
    entries = [
        Line2D([], [], color=colour, marker=marker, markersize=4.5, label=description)
        for colour, marker, description in map(_PROTOCOL_STYLES.__getitem__, protocols)
    ]
    entries += [
        Line2D(
            [],
            [],
            color=shade,
            marker="|",
            markersize=11,
            markeredgewidth=1.6,
            linestyle="",
            label=f"Label shifted by {distance:g} px",
        )
        for distance, shade in zip(moved, _make_shades(len(moved)), strict=True)
    ]
    if any(model.published for model in models):
        entries.append(Line2D([], [], color="black", marker="x", linestyle="", markersize=6, label="Paper (real data)"))
    body.legend(handles=entries, loc="outside lower center", ncols=2)


def _format_effect(effect: ProtocolEffect, index: int) -> str:
    difference, (low, high) = format_difference(float(effect.difference[index])), effect.ci95[index]
    if np.isnan((low, high)).any():
        return difference
    return f"{difference} [{format_difference(low)}, {format_difference(high)}]"
