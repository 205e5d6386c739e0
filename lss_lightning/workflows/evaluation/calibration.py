"""What an earlier evaluation says of the errors to expect, if it is one of the same networks seen in the same way."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.display import shown_path
from lss_lightning.errors import UserError
from lss_lightning.files import sha256
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.runs.layout import RunFolder
from lss_lightning.runs.results import find_calibration, read_metrics
from lss_lightning.stenosis import MEASUREMENTS, PATIENTS_NEEDED, Calibration

_AGAIN = "python evaluate.py ckpt_path=… tta={tta} with these checkpoints, on subset=val or on other labelled data"


@dataclass(frozen=True)
class LoadedCalibration:
    """A calibration, and what it was made from.

    Attributes:
        calibration: For :mod:`~lss_lightning.stenosis.conformal`.
        digests: Of the slices.
        remark: What every reader must know, a sentence or two.
    """

    calibration: Calibration
    digests: frozenset[str]
    remark: str

    def refuse_slices(self, digests: Sequence[str]) -> None:
        """Refuse to test the calibration on slices that made it.

        Raises:
            UserError: there are such slices.
        """
        if shared := self.digests.intersection(digests):
            raise UserError(
                f"calibration: {len(shared)} of the {len(digests)} slices to test made it, which flatters it; "
                "calibrate on one part, such as subset=val, and test another"
            )


def load_calibration(
    given: str | None, files: Sequence[Path], all_metadata: Sequence[CheckpointMetadata], tta: str
) -> LoadedCalibration | None:
    """Calibrate by an evaluation.

    Args:
        given: The setting: its folder, or a file in that; None for no calibration.
        files: The checkpoints to calibrate, at least one.
        all_metadata: What they say about themselves.
        tta: Under which views they are to be seen.

    Raises:
        UserError: there is no such evaluation; it is of other checkpoints or views; its slices taught the checkpoints;
            it holds too few patients; or it is not as this version writes it.
    """
    folder = find_calibration(given)
    if folder is None:
        return None
    metrics = read_metrics(folder, "calibration")
    where = f"calibration: {shown_path(folder)}"
    _refuse_others(metrics, files, tta, where)
    patients, digests, (reference, predicted, pixels) = _read(RunFolder(folder).measurements, where)
    _refuse_learned(metrics["data"], frozenset(digests), all_metadata, where)
    calibration = Calibration.fit(reference, predicted, patients)
    if not calibration.residuals:
        raise UserError(
            f"{where}: holds {calibration.support}; intervals of 95 % need {PATIENTS_NEEDED} patients whose measures "
            "are known: evaluate more of them"
        )
    return LoadedCalibration(calibration, frozenset(digests), _remark(calibration, metrics["data"]["name"], pixels))


def _refuse_others(metrics: Mapping[str, Any], files: Sequence[Path], tta: str, where: str) -> None:
    again = _AGAIN.format(tta=tta)
    model = metrics.get("model", {})
    hashes = [member.get("sha256") for member in model.get("members", [])]
    own = [sha256(file) for file in files]
    if sorted(hashes, key=str) != sorted(own):
        raise UserError(
            f"{where}: evaluated other checkpoints ({_short(hashes)}) than ckpt_path ({_short(own)}); run {again}"
        )
    if model.get("tta") != tta:
        raise UserError(f"{where}: evaluated with tta={model.get('tta')}, not tta={tta}; give that, or run {again}")
    if metrics["data"]["subset"] == "folds":
        raise UserError(f"{where}: evaluated folds, each slice by one of the checkpoints and not by all; run {again}")


def _short(hashes: Sequence[str | None]) -> str:
    return ", ".join("unknown" if one is None else f"sha256 {one[:12]}…" for one in hashes)


def _refuse_learned(
    about: Mapping[str, Any], digests: frozenset[str], all_metadata: Sequence[CheckpointMetadata], where: str
) -> None:
    learned = digests & {digest for metadata in all_metadata for digest in metadata.seen}
    # A validation part chose the epoch and taught nothing; but where members divided the data otherwise, one may have
    # learned from what another held out.
    alike = all(metadata.seen == all_metadata[0].seen for metadata in all_metadata)
    if learned and not (about["subset"] == "val" and about["protocol"] != "resubstitution" and alike):
        raise UserError(
            f"{where}: {len(learned)} of its {len(digests)} slices trained or selected the checkpoints, whose errors "
            "on others are larger; evaluate subset=val of a run that has such a part, or other labelled data"
        )


def _read(path: Path, where: str) -> tuple[list[str], list[str], list[NDArray[np.float64]]]:
    """Patients and digests of N slices; (N, F) by label, by prediction, and the pixel in mm; NaN where unknown."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        if not rows or [row["measure"] for row in rows] != [*MEASUREMENTS] * (len(rows) // len(MEASUREMENTS)):
            raise ValueError("its rows are not all measures of each slice")
        patients, digests = ([row[name] for row in rows[:: len(MEASUREMENTS)]] for name in ("patient", "digest"))
        columns = [[float(row[name] or "nan") for row in rows] for name in ("label", "predicted", "spacing_mm")]
    except (ValueError, KeyError, csv.Error) as error:
        raise UserError(f"{where}: {path.name} is not as this version writes it ({error}); evaluate again") from error
    return patients, digests, [np.array(column).reshape(-1, len(MEASUREMENTS)) for column in columns]


def _remark(calibration: Calibration, data: str, pixels: NDArray[np.float64]) -> str:
    lacking = [MEASUREMENTS[name].title for name in MEASUREMENTS if name not in calibration.residuals]
    without = f" None of {', '.join(lacking)}: fewer than {PATIENTS_NEEDED} patients have it." if lacking else ""
    known = pixels[~np.isnan(pixels)]
    ends = dict.fromkeys(f"{size:.3g}" for size in (known.min(), known.max())) if known.size else {}
    pixel = f"pixel {' to '.join(ends)} mm" if ends else "pixel unknown"
    return (
        f"95 % intervals are calibrated on {calibration.support} (data={data}, {pixel}): of the slices of "
        f"further patients drawn like those, 95 % have the measure of their label map within.{without}"
    )
