"""What the protocol does to the number: scores by protocol, differences, and the ceiling that labels set."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lss_lightning.labels import LabelSet
from lss_lightning.metrics.overlap import Scores
from lss_lightning.reporting import style
from lss_lightning.reporting.comparison.differences import signed
from lss_lightning.reporting.page import Table
from lss_lightning.reporting.style import MISSING
from lss_lightning.reporting.tables import MEAN, MEAN_ANATOMY, format_interval, format_score

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOOKS = {
    "resubstitution": ("#d55e00", "s", "Resubstitution: tested on what it was trained on"),
    "image": ("#e69f00", "^", "Image: random images, the paper's"),
    "patient": ("#0072b2", "o", "Patient: patients never seen"),
}
_APART = 0.23  # of a row, between two protocols


@dataclass(frozen=True)
class ModelScores:
    """One model's results.

    Attributes:
        model: Its name.
        by_protocol: ``metrics.json`` of each protocol's test.
        published: The paper's IoU of this model by class key, and its mean over the anatomical classes by
            ``mean_iou_anatomy``; empty where there is none to show.
    """

    model: str
    by_protocol: Mapping[str, Mapping[str, Any]]
    published: Mapping[str, float]


@dataclass(frozen=True)
class Effect:
    """The difference that a protocol makes to a model's scores.

    Attributes:
        model: The model's name.
        difference: (K + 2,), of :func:`~lss_lightning.metrics.overlap.iou_and_means_less`: the protocol's less the
            patient split's.
        ci95: (K + 2, 2), its interval.
    """

    model: str
    difference: Scores
    ci95: Scores


def protocol_table(models: Sequence[ModelScores]) -> Table:
    """Mean IoU over the anatomical classes of each model under each protocol."""
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
    return Table(["Model", *headings, "Paper"], rows, f"{MEAN_ANATOMY}, by protocol, as tested")


def effect_table(effects: Sequence[Effect], labels: LabelSet, caption: str) -> Table:
    """A row for each score, a column for each model."""
    rows = []
    for place, name in enumerate(_scores(labels)):
        rows.append([name, *(_difference(effect, place) for effect in effects)])
    return Table(["Score", *(effect.model for effect in effects)], rows[: len(labels)], caption, rows[len(labels) :])


def write_effects(effects: Mapping[str, Sequence[Effect]], labels: LabelSet, path: Path, note: str) -> None:
    """Write differences as numbers: a row for each contrast, by its name, each model and each score, as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["contrast", "model", "score", "difference", "ci95_low", "ci95_high"])
        for contrast, models in effects.items():
            for effect in models:
                for name, *values in zip(_scores(labels), effect.difference, *effect.ci95.T, strict=True):
                    cells = (None if np.isnan(value) else round(float(value), 6) for value in values)
                    writer.writerow([contrast, effect.model, name, *cells])
        writer.writerow([f"# {note}"])


def ceiling_table(
    distances: Sequence[float], shifts: Scores, agreement: Scores | None, labels: LabelSet, caption: str
) -> Table:
    """What moving the labels costs, and how far labellers agree.

    Args:
        distances: D lengths of the shift in pixels.
        shifts: (D, K), IoU of the labels with the moved ones.
        agreement: (K,), IoU between the labellers; None where their maps are not there.
        labels: The K classes.
        caption: Of which labels.
    """
    columns = [*shifts, *([] if agreement is None else [agreement])]
    anatomy = list(labels.anatomical)
    rows = [[label.name, *(format_score(values[place]) for values in columns)] for place, label in enumerate(labels)]
    mean = [format_score(float(np.mean(values[anatomy]))) for values in columns]
    headings = [f"Moved by {distance:g} px" for distance in distances]
    headings += [] if agreement is None else ["Between labellers"]
    return Table(["Class", *headings], rows, caption, foot=[[MEAN_ANATOMY, *mean]])


def plot_protocols(
    models: Sequence[ModelScores], moved: Mapping[float, Scores], labels: LabelSet, path: Path, *, caption: str
) -> None:
    """Write :func:`draw_protocols` to a PNG file."""
    with style.look():
        style.save(draw_protocols(models, moved, labels, caption=caption), path)


def draw_protocols(
    models: Sequence[ModelScores], moved: Mapping[float, Scores], labels: LabelSet, *, caption: str
) -> Figure:
    """Draw each anatomical class's IoU under each protocol with its interval, a panel for each model.

    Args:
        models: At least one.
        moved: (K,), IoU of the labels with themselves moved, by the distance in pixels; marked as ceilings.
        labels: The K classes.
        caption: Stands beneath the figure.
    """
    with style.look():
        places = list(labels.anatomical)
        names = [*(labels[place].name for place in places), "Mean of these"]
        figure, body = style.new_figure(1.5 + 0.45 * len(names), caption)
        panels = body.subplots(1, len(models), sharex=True, sharey=True, squeeze=False)[0]
        for axes, model in zip(panels, models, strict=True):
            _draw_model(axes, model, moved, labels)
            axes.set_title(model.model)
            axes.set_xlabel("IoU, pooled")
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
        panels[0].set_xlim(right=1)
        _legend(body, models, moved)
        return figure


def _draw_model(axes: Axes, model: ModelScores, moved: Mapping[float, Scores], labels: LabelSet) -> None:
    places = list(labels.anatomical)
    keys = [labels.keys[place] for place in places]
    for values, shade in zip(moved.values(), _shades(moved), strict=True):
        ceilings = [*values[places], np.mean(values[places])]
        rows = range(len(ceilings))
        axes.vlines(ceilings, [row - 0.42 for row in rows], [row + 0.42 for row in rows], color=shade, linewidth=1.6)
    for step, (protocol, metrics) in enumerate(model.by_protocol.items()):
        colour, marker, _ = _LOOKS[protocol]
        scores = [*(metrics["iou"][key] for key in keys), metrics["mean_iou_anatomy"]]
        bounds = [*(metrics["iou_ci95"][key] for key in keys), metrics["mean_iou_anatomy_ci95"]]
        for row, (score, interval) in enumerate(zip(scores, bounds, strict=True)):
            height = row + _APART * (step - (len(model.by_protocol) - 1) / 2)
            if interval is not None:
                axes.hlines(height, *interval, color=colour, linewidth=1.4)
            if score is not None:
                axes.plot(score, height, marker, color=colour, markersize=4.5, clip_on=False)
    for row, key in enumerate([*keys, "mean_iou_anatomy"]):
        if key in model.published:
            axes.plot(model.published[key], row, "x", color="black", markersize=6, markeredgewidth=1.4, clip_on=False)
    for edge in range(len(keys)):
        axes.axhline(edge + 0.5, color="#e5e5e5", linewidth=0.5)
    axes.grid(visible=True, axis="x")
    axes.tick_params(axis="y", length=0)


def _shades(moved: Mapping[float, Scores]) -> list[str]:
    """Greys, the darker the farther."""
    return [f"{level:.2f}" for level in np.linspace(0.75, 0.45, len(moved))]


def _legend(body: Any, models: Sequence[ModelScores], moved: Mapping[float, Scores]) -> None:
    from matplotlib.lines import Line2D

    used = dict.fromkeys(protocol for model in models for protocol in model.by_protocol)
    entries = [
        Line2D([], [], color=colour, marker=marker, markersize=4.5, label=text)
        for colour, marker, text in (_LOOKS[protocol] for protocol in used)
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
            label=f"Label moved by {distance:g} px",
        )
        for distance, shade in zip(moved, _shades(moved), strict=True)
    ]
    if any(model.published for model in models):
        entries.append(
            Line2D([], [], color="black", marker="x", linestyle="", markersize=6, label="Paper, on real data")
        )
    body.legend(handles=entries, loc="outside lower center", ncols=2)


def _scores(labels: LabelSet) -> list[str]:
    return [*(label.name for label in labels), MEAN, MEAN_ANATOMY]


def _difference(effect: Effect, place: int) -> str:
    difference, bounds = float(effect.difference[place]), effect.ci95[place]
    if np.isnan(bounds).any():
        return signed(difference)
    return f"{signed(difference)} [{signed(bounds[0])}, {signed(bounds[1])}]"
