"""Measures in mm from predictions held against those from labels and, on the phantom, against the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

import numpy as np

from lss_lightning.metrics.agreement import bland_altman, cohen_kappa
from lss_lightning.metrics.intervals import interval95, resample
from lss_lightning.metrics.overlap import Scores, pool_patients
from lss_lightning.metrics.plain import plain, plain_intervals
from lss_lightning.stenosis import CRITERIA, MEASUREMENTS, SITES, Site, find_findings, find_sites

SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Bounds of the groups in which errors are shown against the severity drawn."""

UNDETERMINED = "not determined"
"""The site of a slice that has nothing below a threshold, but a measure withheld that might have been."""

_GENERAL = [criterion for criterion in CRITERIA if criterion.site is not None]


@dataclass(frozen=True, kw_only=True)
class MeasurementTable:
    """The F measures (in the order of :data:`~lss_lightning.stenosis.MEASUREMENTS`) of N slices, NaN where withheld.

    Attributes:
        label: (N, F), from the label maps.
        predicted: (N, F), from the network's class probabilities.
        low: (N, F), lower bound of the prediction's 95 % interval; NaN where there is none.
        high: (N, F), upper bound.
        calibrated_low: (N, F), lower bound of the calibrated 95 % interval; NaN where there is none.
        calibrated_high: (N, F), upper bound.
        patients: (N,), each slice's patient.
        levels: (N,), ``D3``, ``D4`` or ``D5``; None where unknown.
        truth: (N, F), from curves before they were rasterised; None where nobody knows it.
        severities: (N,), of the stenosis drawn, 0 to 1; None as ``truth``.
        sites: (N,), where it was drawn: ``none``, ``central``, ``left`` or ``right``; None as ``truth``.
        notes: (N,), the note on each slice's patient, None where there is none; None where nobody gave any.
    """

    label: Scores
    predicted: Scores
    low: Scores
    high: Scores
    calibrated_low: Scores
    calibrated_high: Scores
    patients: Sequence[str]
    levels: Sequence[str | None]
    truth: Scores | None = None
    severities: Scores | None = None
    sites: Sequence[str] | None = None
    notes: Sequence[str | None] | None = None

    @classmethod
    def joined(cls, parts: Sequence[MeasurementTable]) -> MeasurementTable:
        """The slices of several tests, of at least one; what is not known of all of them is not known."""

        def join(values: list[Any]) -> Any:
            if any(value is None for value in values):
                return None
            return (
                np.concatenate(values)
                if isinstance(values[0], np.ndarray)
                else [one for value in values for one in value]
            )

        return cls(**{entry.name: join([getattr(part, entry.name) for part in parts]) for entry in fields(cls)})


def summarise_measurements(measured: MeasurementTable) -> dict[str, Any]:
    """Compute the ``measurements`` part of ``metrics.json``.

    Returns:
        Plain data. ``against_label``: by measure the prediction's errors (:func:`errors`), its ``category``
        (:func:`categories`) and, where there are intervals, their ``coverage``, of calibrated ones
        ``calibrated_coverage``. Where the truth is known, ``against_truth``: the same and ``by_severity``;
        ``label_against_truth``: the errors of the label maps, that is of rasterising.
        ``sites``: :func:`site_counts` of the predictions against the labels' and the true ones.
    """

    def against(reference: Scores) -> dict[str, Any]:
        found = errors(measured.predicted, reference, measured.patients)
        for name, agreement in categories(measured.predicted, reference, measured.patients).items():
            found[name]["category"] = agreement
        for key, low, high in (
            ("coverage", measured.low, measured.high),
            ("calibrated_coverage", measured.calibrated_low, measured.calibrated_high),
        ):
            for name, held in coverage(low, high, reference).items():
                found[name][key] = held
        return found

    predicted, label = (found_sites(values, measured.levels) for values in (measured.predicted, measured.label))
    summary: dict[str, Any] = {
        "against_label": against(measured.label),
        "sites": {"against_label": site_counts(label, predicted)},
    }
    if measured.truth is not None and measured.severities is not None and measured.sites is not None:
        summary["against_truth"] = against(measured.truth)
        for name, groups in by_severity(measured.predicted, measured.truth, measured.severities).items():
            summary["against_truth"][name]["by_severity"] = groups
        summary["label_against_truth"] = errors(measured.label, measured.truth, measured.patients)
        summary["sites"]["against_truth"] = site_counts(measured.sites, predicted)
        summary["sites"]["label_against_truth"] = site_counts(measured.sites, label)
        below = found_sites(measured.truth, measured.levels)
        summary["sites"]["true_measures_against_truth"] = site_counts(measured.sites, below)
    return summary


def errors(values: Scores, reference: Scores, patients: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Bland and Altman's figures of values minus reference, (N, F) each, by measure.

    Returns:
        By measure: ``slices`` that have both; ``withheld`` of those that have a reference, and ``no_reference``;
        ``bias`` with ``bias_ci95`` over patients, ``sd``, ``limits95``, ``mae``, all in the measure's unit, and
        ``mae_percent`` of the mean reference.
    """
    found = {}
    for place, name in enumerate(MEASUREMENTS):
        value, true = values[:, place], reference[:, place]
        both = ~np.isnan(value) & ~np.isnan(true)
        figures = bland_altman(value - true, patients)
        mean = float(true[both].mean()) if both.any() else np.nan
        found[name] = {
            "slices": figures.count,
            "withheld": int((np.isnan(value) & ~np.isnan(true)).sum()),
            "no_reference": int(np.isnan(true).sum()),
            "bias": plain(figures.bias),
            "bias_ci95": plain_intervals(figures.bias_ci95),
            "sd": plain(figures.sd),
            "limits95": plain_intervals(figures.limits),
            "mae": plain(figures.mae),
            "mae_percent": plain(100 * figures.mae / mean if mean > 0 else np.nan),
        }
    return found


def categories(values: Scores, reference: Scores, patients: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Whether values and reference, (N, F) each, lie below the same of a measure's thresholds.

    Thresholds that place a stenosis count; the cut-offs of one study at one level do not.

    Returns:
        By measure that has thresholds: ``thresholds``, ascending; ``counts``, a matrix with the reference's category in
        rows, from below the least threshold to above the greatest; ``kappa`` (Cohen's), with ``kappa_ci95`` by a
        bootstrap over patients.
    """
    found = {}
    for name in dict.fromkeys(criterion.measure for criterion in _GENERAL):
        place = list(MEASUREMENTS).index(name)
        thresholds = sorted({criterion.below for criterion in _GENERAL if criterion.measure == name})
        value, true = values[:, place], reference[:, place]
        both = ~np.isnan(value) & ~np.isnan(true)
        size = len(thresholds) + 1
        # From the right, since a value on the threshold does not lie below it.
        rows, columns = (np.searchsorted(thresholds, column[both], side="right") for column in (true, value))
        counts = np.zeros((int(both.sum()), size, size), dtype=np.int64)
        counts[np.arange(len(counts)), rows, columns] = 1
        by_patient = pool_patients(counts, [who for who, there in zip(patients, both, strict=True) if there])
        bounds = interval95(cohen_kappa(resample(by_patient))) if len(by_patient) > 1 else np.full(2, np.nan)
        found[name] = {
            "thresholds": thresholds,
            "counts": counts.sum(axis=0).tolist(),
            "kappa": plain(cohen_kappa(counts.sum(axis=0))),
            "kappa_ci95": plain_intervals(bounds),
        }
    return found


def coverage(low: Scores, high: Scores, reference: Scores) -> dict[str, dict[str, Any]]:
    """How many intervals from low to high hold a reference, (N, F) each, by measure that has any.

    Returns:
        By measure: ``slices``, the share ``held`` of them, and the intervals' median ``width``.
    """
    found = {}
    for place, name in enumerate(MEASUREMENTS):
        least, most, true = (values[:, place] for values in (low, high, reference))
        there = ~np.isnan(least) & ~np.isnan(true)
        if there.any():
            held = (least <= true) & (true <= most)
            found[name] = {
                "slices": int(there.sum()),
                "held": float(held[there].mean()),
                "width": float(np.median((most - least)[there])),
            }
    return found


def by_severity(values: Scores, truth: Scores, severities: Scores) -> dict[str, list[dict[str, Any]]]:
    """Bias and mean absolute error of values, (N, F), in groups of the severity drawn, (N,), by measure.

    Returns:
        By measure, for each group of :data:`SEVERITIES`: ``severity`` (its bounds), ``slices``, ``bias``, ``mae``.
    """
    # The last group holds its upper bound.
    group = np.digitize(severities, SEVERITIES[1:-1])
    found: dict[str, list[dict[str, Any]]] = {}
    for place, name in enumerate(MEASUREMENTS):
        error = values[:, place] - truth[:, place]
        found[name] = []
        for index, bounds in enumerate(pairwise(SEVERITIES)):
            part = error[(group == index) & ~np.isnan(error)]
            bias, mae = (float(part.mean()), float(np.abs(part).mean())) if part.size else (np.nan, np.nan)
            row = {"severity": list(bounds), "slices": int(part.size), "bias": plain(bias), "mae": plain(mae)}
            found[name].append(row)
    return found


def found_sites(values: Scores, levels: Sequence[str | None]) -> list[str]:
    """Where the measures of each slice, (N, F), would place a stenosis: ``none``, or sites joined by ``+``."""
    return [site_of(values_of(row), level) for row, level in zip(values, levels, strict=True)]


def values_of(row: Scores) -> dict[str, float | None]:
    """One slice's measures, (F,), by name; None where withheld."""
    return {name: None if np.isnan(value) else float(value) for name, value in zip(MEASUREMENTS, row, strict=True)}


def site_below(values: Mapping[str, float | None], level: str | None, site: Site) -> bool | None:
    """Whether a slice's measures would place a stenosis at a site; None where a measure that decides it is withheld."""
    if site in find_sites(find_findings(values, level)):
        return True
    deciding = {one.measure for one in _GENERAL if one.site == site and level not in one.unreliable_at}
    return None if any(values[name] is None for name in deciding) else False


def site_of(values: Mapping[str, float | None], level: str | None) -> str:
    """Where one slice's measures would place a stenosis; :data:`UNDETERMINED` where that cannot be said."""
    below = {site: site_below(values, level, site) for site in SITES}
    if any(below.values()):
        return "+".join(site for site, found in below.items() if found)
    return UNDETERMINED if None in below.values() else "none"


def site_counts(true: Sequence[str], found: Sequence[str]) -> dict[str, dict[str, int]]:
    """How often each true site (outer key) was found as which."""
    counts = {
        site: Counter(other for one, other in zip(true, found, strict=True) if one == site) for site in _ordered(true)
    }
    return {site: {other: row[other] for other in _ordered(found)} for site, row in counts.items()}


def _ordered(sites: Sequence[str]) -> list[str]:
    return sorted(set(sites), key=lambda site: (site != "none", site == UNDETERMINED, site))
