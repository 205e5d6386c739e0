"""Agreement of measurements on predictions with those on labels and, for the phantom, with the true values."""

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
from lss_lightning.metrics.plain import intervals_to_plain, to_plain
from lss_lightning.stenosis import CRITERIA, MEASUREMENTS, SITES, Site, apply_criteria, find_sites

SEVERITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Bounds of the severity groups by which errors are reported."""

UNDETERMINED = "not determined"
"""The site of a slice without findings in which a withheld measurement might be below its threshold."""

_GENERAL_CRITERIA = [criterion for criterion in CRITERIA if criterion.site is not None]


@dataclass(frozen=True, kw_only=True)
class MeasurementTable:
    """The F measurements of N slices, NaN if withheld.

    The measurements are in the order of :data:`~lss_lightning.stenosis.MEASUREMENTS`.

    Attributes:
        label: (N, F), measured on the label maps.
        predicted: (N, F), measured on the predicted class probabilities.
        low: (N, F), lower bound of the 95 % interval of the prediction; NaN without an interval.
        high: (N, F), upper bound of that interval.
        calibrated_low: (N, F), lower bound of the calibrated 95 % interval; NaN without an interval.
        calibrated_high: (N, F), upper bound of that interval.
        patients: (N,), patient of each slice.
        levels: (N,), ``D3``, ``D4`` or ``D5``; None if unknown.
        truth: (N, F), true values, computed from curves before rasterisation; None if unknown.
        severities: (N,), simulated severity of the stenosis, 0 to 1; None if ``truth`` is None.
        sites: (N,), simulated site: ``none``, ``central``, ``left`` or ``right``; None if ``truth`` is None.
        notes: (N,), radiologist's note on the patient of each slice, or None; None if there are no notes.
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
    def concatenate(cls, tables: Sequence[MeasurementTable]) -> MeasurementTable:
        """Concatenate the tables of one or more tests. A field that any table lacks is None."""

        def join(values: list[Any]) -> Any:
            if any(value is None for value in values):
                return None
            if isinstance(values[0], np.ndarray):
                return np.concatenate(values)
            return [item for value in values for item in value]

        return cls(**{entry.name: join([getattr(table, entry.name) for table in tables]) for entry in fields(cls)})


def summarise_measurements(table: MeasurementTable) -> dict[str, Any]:
    """Compute the ``measurements`` part of ``metrics.json``.

    Returns:
        Plain data. For each measurement, ``against_label`` holds the errors of the predictions
        (:func:`summarise_errors`), their ``category`` (:func:`compare_categories`) and, if there are intervals, their
        ``coverage`` and ``calibrated_coverage`` (:func:`compute_coverage`). If the truth is known, ``against_truth``
        holds the same and ``by_severity``, and ``label_against_truth`` holds the errors of the label maps, which are
        due to rasterisation. ``sites`` holds the result of :func:`count_sites` for the predictions against the labels
        and the truth.
    """

    def compare_with(reference: Scores) -> dict[str, Any]:
        summary = summarise_errors(table.predicted, reference, table.patients)
        for name, agreement in compare_categories(table.predicted, reference, table.patients).items():
            summary[name]["category"] = agreement
        for key, low, high in (
            ("coverage", table.low, table.high),
            ("calibrated_coverage", table.calibrated_low, table.calibrated_high),
        ):
            for name, coverage in compute_coverage(low, high, reference).items():
                summary[name][key] = coverage
        return summary

    predicted, label = (locate_stenoses(values, table.levels) for values in (table.predicted, table.label))
    summary: dict[str, Any] = {
        "against_label": compare_with(table.label),
        "sites": {"against_label": count_sites(label, predicted)},
    }
    if table.truth is not None and table.severities is not None and table.sites is not None:
        summary["against_truth"] = compare_with(table.truth)
        for name, groups in summarise_by_severity(table.predicted, table.truth, table.severities).items():
            summary["against_truth"][name]["by_severity"] = groups
        summary["label_against_truth"] = summarise_errors(table.label, table.truth, table.patients)
        summary["sites"]["against_truth"] = count_sites(table.sites, predicted)
        summary["sites"]["label_against_truth"] = count_sites(table.sites, label)
        from_truth = locate_stenoses(table.truth, table.levels)
        summary["sites"]["true_measures_against_truth"] = count_sites(table.sites, from_truth)
    return summary


def summarise_errors(values: Scores, reference: Scores, patients: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Compute Bland-Altman statistics of the values minus the reference, by measurement.

    Args:
        values: (N, F), measurements.
        reference: (N, F), reference measurements.
        patients: Patient of each slice.

    Returns:
        By measurement: ``slices``, the number of slices with both values; ``withheld``, the number with only a
        reference; ``no_reference``, the number without a reference; ``bias`` with ``bias_ci95`` over patients, ``sd``,
        ``limits95`` and ``mae``, all in the unit of the measurement; and ``mae_percent``, relative to the mean
        reference.
    """
    summary = {}
    for column, name in enumerate(MEASUREMENTS):
        value, true = values[:, column], reference[:, column]
        both = ~np.isnan(value) & ~np.isnan(true)
        statistics = bland_altman(value - true, patients)
        mean = float(true[both].mean()) if both.any() else np.nan
        summary[name] = {
            "slices": statistics.count,
            "withheld": int((np.isnan(value) & ~np.isnan(true)).sum()),
            "no_reference": int(np.isnan(true).sum()),
            "bias": to_plain(statistics.bias),
            "bias_ci95": intervals_to_plain(statistics.bias_ci95),
            "sd": to_plain(statistics.sd),
            "limits95": intervals_to_plain(statistics.limits),
            "mae": to_plain(statistics.mae),
            "mae_percent": to_plain(100 * statistics.mae / mean if mean > 0 else np.nan),
        }
    return summary


def compare_categories(values: Scores, reference: Scores, patients: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Compare values and reference, (N, F) each, by the categories that the published thresholds define.

    Only thresholds that suggest a site of stenosis are used, not the cut-offs of a single study at one level.

    Returns:
        For each measurement with thresholds: ``thresholds``, ascending; ``counts``, a matrix with the reference
        categories in rows, from below the lowest threshold to above the highest; and Cohen's ``kappa``, with
        ``kappa_ci95`` by a bootstrap over patients.
    """
    comparison = {}
    for name in dict.fromkeys(criterion.measurement for criterion in _GENERAL_CRITERIA):
        column = list(MEASUREMENTS).index(name)
        thresholds = sorted({criterion.below for criterion in _GENERAL_CRITERIA if criterion.measurement == name})
        value, true = values[:, column], reference[:, column]
        both = ~np.isnan(value) & ~np.isnan(true)
        size = len(thresholds) + 1
        # side="right", because a value equal to the threshold is not below it.
        rows, columns = (np.searchsorted(thresholds, column[both], side="right") for column in (true, value))
        counts = np.zeros((int(both.sum()), size, size), dtype=np.int64)
        counts[np.arange(len(counts)), rows, columns] = 1
        by_patient = pool_patients(counts, [patient for patient, keep in zip(patients, both, strict=True) if keep])
        bounds = interval95(cohen_kappa(resample(by_patient))) if len(by_patient) > 1 else np.full(2, np.nan)
        comparison[name] = {
            "thresholds": thresholds,
            "counts": counts.sum(axis=0).tolist(),
            "kappa": to_plain(cohen_kappa(counts.sum(axis=0))),
            "kappa_ci95": intervals_to_plain(bounds),
        }
    return comparison


def compute_coverage(low: Scores, high: Scores, reference: Scores) -> dict[str, dict[str, Any]]:
    """Compute the coverage of the reference by the intervals from low to high, (N, F) each.

    Returns:
        For each measurement with intervals: ``slices``; ``held``, the fraction of intervals that contain the reference;
        and ``width``, the median width of the intervals.
    """
    summary = {}
    for column, name in enumerate(MEASUREMENTS):
        lower, upper, true = (values[:, column] for values in (low, high, reference))
        defined = ~np.isnan(lower) & ~np.isnan(true)
        if defined.any():
            covered = (lower <= true) & (true <= upper)
            summary[name] = {
                "slices": int(defined.sum()),
                "held": float(covered[defined].mean()),
                "width": float(np.median((upper - lower)[defined])),
            }
    return summary


def summarise_by_severity(values: Scores, truth: Scores, severities: Scores) -> dict[str, list[dict[str, Any]]]:
    """Compute the bias and the mean absolute error in groups of simulated severity.

    Args:
        values: (N, F), measurements.
        truth: (N, F), true values.
        severities: (N,), simulated severity, 0 to 1.

    Returns:
        By measurement, for each group of :data:`SEVERITIES`: ``severity`` (its bounds), ``slices``, ``bias``, ``mae``.
    """
    # The last group includes its upper bound.
    group = np.digitize(severities, SEVERITIES[1:-1])
    summary: dict[str, list[dict[str, Any]]] = {}
    for column, name in enumerate(MEASUREMENTS):
        error = values[:, column] - truth[:, column]
        summary[name] = []
        for index, bounds in enumerate(pairwise(SEVERITIES)):
            part = error[(group == index) & ~np.isnan(error)]
            bias, mae = (float(part.mean()), float(np.abs(part).mean())) if part.size else (np.nan, np.nan)
            row = {"severity": list(bounds), "slices": int(part.size), "bias": to_plain(bias), "mae": to_plain(mae)}
            summary[name].append(row)
    return summary


def locate_stenoses(values: Scores, levels: Sequence[str | None]) -> list[str]:
    """Return the result of :func:`locate_stenosis` for each of N slices, from their measurements (N, F)."""
    return [locate_stenosis(row_to_values(row), level) for row, level in zip(values, levels, strict=True)]


def row_to_values(row: Scores) -> dict[str, float | None]:
    """Return the measurements of one slice, (F,), by name; None if withheld."""
    return {name: None if np.isnan(value) else float(value) for name, value in zip(MEASUREMENTS, row, strict=True)}


def is_below_threshold_at(values: Mapping[str, float | None], level: str | None, site: Site) -> bool | None:
    """Return whether a slice has a reliable finding at a site; None if a relevant measurement is withheld."""
    if site in find_sites(apply_criteria(values, level)):
        return True
    relevant = {
        criterion.measurement
        for criterion in _GENERAL_CRITERIA
        if criterion.site == site and level not in criterion.unreliable_at
    }
    return None if any(values[name] is None for name in relevant) else False


def locate_stenosis(values: Mapping[str, float | None], level: str | None) -> str:
    """Return the sites at which the measurements of a slice suggest a stenosis.

    Returns:
        The sites joined by ``+``, ``none``, or :data:`UNDETERMINED`.
    """
    below = {site: is_below_threshold_at(values, level, site) for site in SITES}
    if any(below.values()):
        return "+".join(site for site, is_below in below.items() if is_below)
    return UNDETERMINED if None in below.values() else "none"


def count_sites(true: Sequence[str], predicted: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count how often each true site (outer key) is predicted as each site (inner key)."""
    counts = {
        site: Counter(found for actual, found in zip(true, predicted, strict=True) if actual == site)
        for site in _sort_sites(true)
    }
    return {site: {other: row[other] for other in _sort_sites(predicted)} for site, row in counts.items()}


def _sort_sites(sites: Sequence[str]) -> list[str]:
    return sorted(set(sites), key=lambda site: (site != "none", site == UNDETERMINED, site))
