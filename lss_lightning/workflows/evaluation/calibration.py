"""Calibration of measurement intervals from an earlier evaluation of the same checkpoints."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.display import shorten_path
from lss_lightning.errors import UserError
from lss_lightning.files import sha256
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.runs.layout import RunFolder
from lss_lightning.runs.results import find_calibration, read_metrics
from lss_lightning.stenosis import MEASUREMENTS, MIN_CALIBRATION_PATIENTS, Calibration

_REMEDY = "python evaluate.py ckpt_path=… tta={tta} with these checkpoints, on subset=val or on other labelled data"


@dataclass(frozen=True)
class LoadedCalibration:
    """A calibration and the slices that it is based on.

    Attributes:
        errors: The calibration, see :mod:`~lss_lightning.stenosis.conformal`.
        digests: The digests of the calibration slices.
        remark: One or two sentences that every report must show.
    """

    errors: Calibration
    digests: frozenset[str]
    remark: str

    def check_disjoint(self, digests: Sequence[str]) -> None:
        """Check that no slice to test was used for the calibration.

        Args:
            digests: The digests of the slices to test.

        Raises:
            UserError: If a slice was used for the calibration.
        """
        if shared := self.digests.intersection(digests):
            raise UserError(
                f"calibration: {len(shared)} of the {len(digests)} slices to test were used for the calibration, so "
                "its coverage would look too good; calibrate on one part, such as subset=val, and test another"
            )


def load_calibration(
    setting: str | None, checkpoints: Sequence[Path], all_metadata: Sequence[CheckpointMetadata], tta: str
) -> LoadedCalibration | None:
    """Load a calibration from the run directory of an evaluation.

    Args:
        setting: The ``calibration`` setting: the run directory, or a file in it. None for no calibration.
        checkpoints: The checkpoints to calibrate, at least one.
        all_metadata: The metadata of the checkpoints.
        tta: The test-time augmentation used with the checkpoints.

    Raises:
        UserError: If there is no such evaluation, it tested other checkpoints or views, the checkpoints were trained
            on its slices, it contains too few patients, or it was written by another version.
    """
    folder = find_calibration(setting)
    if folder is None:
        return None
    metrics = read_metrics(folder, "calibration")
    where = f"calibration: {shorten_path(folder)}"
    _check_networks(metrics, checkpoints, tta, where)
    patients, digests, (reference, predicted, spacings) = _read_measurements(RunFolder(folder).measurements, where)
    _check_unseen(metrics["data"], frozenset(digests), all_metadata, where)
    calibration = Calibration.fit(reference, predicted, patients)
    if not calibration.residuals:
        raise UserError(
            f"{where}: holds {calibration.support}; 95 % intervals need {MIN_CALIBRATION_PATIENTS} patients with known "
            "measurements: evaluate more patients"
        )
    remark = _describe(calibration, metrics["data"]["name"], spacings)
    return LoadedCalibration(calibration, frozenset(digests), remark)


def _check_networks(metrics: Mapping[str, Any], checkpoints: Sequence[Path], tta: str, where: str) -> None:
    """Check that an evaluation tested the same checkpoints as one ensemble and with the same views.

    Raises:
        UserError: If the checkpoints or views differ, or the evaluation is a cross-validation.
    """
    remedy = _REMEDY.format(tta=tta)
    model = metrics.get("model", {})
    hashes = [member.get("sha256") for member in model.get("members", [])]
    own = [sha256(checkpoint) for checkpoint in checkpoints]
    if sorted(hashes, key=str) != sorted(own):
        raise UserError(
            f"{where}: evaluated other checkpoints ({_shorten(hashes)}) than ckpt_path ({_shorten(own)}); run {remedy}"
        )
    if model.get("tta") != tta:
        raise UserError(f"{where}: evaluated with tta={model.get('tta')}, not tta={tta}; set that, or run {remedy}")
    if metrics["data"]["subset"] == "folds":
        raise UserError(
            f"{where}: a cross-validation, which tests each slice by one of the checkpoints, not all; run {remedy}"
        )


def _shorten(hashes: Sequence[str | None]) -> str:
    return ", ".join("unknown" if hash_ is None else f"sha256 {hash_[:12]}…" for hash_ in hashes)


def _check_unseen(
    about: Mapping[str, Any], digests: frozenset[str], all_metadata: Sequence[CheckpointMetadata], where: str
) -> None:
    """Check that the checkpoints have not seen the slices of a calibration, except as their common validation set.

    Raises:
        UserError: If a checkpoint was trained or selected on such a slice.
    """
    seen = digests & {digest for metadata in all_metadata for digest in metadata.seen}
    # Validation slices only select the epoch and may be used. But if the members were trained with different splits, a
    # member may have been trained on the validation slices of another.
    same_split = all(metadata.seen == all_metadata[0].seen for metadata in all_metadata)
    if seen and not (about["subset"] == "val" and about["protocol"] != "resubstitution" and same_split):
        raise UserError(
            f"{where}: {len(seen)} of its {len(digests)} slices trained or selected the checkpoints, whose errors are "
            "larger on other slices; evaluate subset=val of a run that has a validation set, or other labelled data"
        )


def _read_measurements(path: Path, where: str) -> tuple[list[str], list[str], list[NDArray[np.float64]]]:
    """Read the measurements of N slices.

    Returns:
        The patients and the digests of the slices, and three arrays (N, F): the values measured in the label, the
        values measured in the prediction, and the pixel spacing in mm. NaN marks unknown values.

    Raises:
        UserError: If the file was written by another version.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if not rows or [row["measure"] for row in rows] != [*MEASUREMENTS] * (len(rows) // len(MEASUREMENTS)):
            raise ValueError("its rows are not all measurements of each slice")
        patients, digests = ([row[name] for row in rows[:: len(MEASUREMENTS)]] for name in ("patient", "digest"))
        columns = [[float(row[name] or "nan") for row in rows] for name in ("label", "predicted", "spacing_mm")]
    except (ValueError, KeyError, csv.Error) as error:
        raise UserError(
            f"{where}: {path.name} was not written by this version ({error}); run the evaluation again"
        ) from error
    return patients, digests, [np.array(column).reshape(-1, len(MEASUREMENTS)) for column in columns]


def _describe(calibration: Calibration, data: str, spacings: NDArray[np.float64]) -> str:
    missing = [MEASUREMENTS[name].title for name in MEASUREMENTS if name not in calibration.residuals]
    gap = f" None for {', '.join(missing)}: fewer than {MIN_CALIBRATION_PATIENTS} patients have it." if missing else ""
    known = spacings[~np.isnan(spacings)]
    ends = dict.fromkeys(f"{size:.3g}" for size in (known.min(), known.max())) if known.size else {}
    spacing = f"pixel spacing {' to '.join(ends)} mm" if ends else "pixel spacing unknown"
    return (
        f"95 % intervals are calibrated on {calibration.support} (data={data}, {spacing}). On slices of new patients "
        f"from the same population, 95 % of the intervals contain the measurement of the label map.{gap}"
    )
