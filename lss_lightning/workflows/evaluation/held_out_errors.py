"""The errors of a checkpoint's measurements on its test part, stored in a file next to the checkpoint."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lss_lightning.display import shorten_path
from lss_lightning.errors import UserError
from lss_lightning.files import sha256, write_json
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.runs.layout import MEASUREMENT_ERRORS
from lss_lightning.stenosis.held_out import HeldOutErrors, MeasurementError
from lss_lightning.workflows.evaluation.result import PartialResult


@dataclass(frozen=True)
class LoadedErrors:
    """The measurement errors of a checkpoint.

    Attributes:
        errors: The errors by measurement.
        remark: A sentence that every report must show.
    """

    errors: HeldOutErrors
    remark: str


def write_held_out_errors(part: PartialResult, checkpoint: Path, metadata: CheckpointMetadata, data: str) -> None:
    """Write the measurement errors of a checkpoint to its folder, for the intervals of ``predict.py``.

    Nothing is written if too few patients were measured, or if the folder of the checkpoint is read-only.

    Args:
        part: The test of the checkpoint. Slices that the checkpoint was trained or selected on are excluded.
        checkpoint: The checkpoint.
        metadata: The metadata of the checkpoint.
        data: The name of the data source.
    """
    table, seen = part.measurements, set(metadata.seen)
    if table is None:
        return
    unseen = np.array([loaded.digest not in seen for loaded in part.slices])
    patients = [patient for patient, keep in zip(table.patients, unseen, strict=True) if keep]
    errors = HeldOutErrors.fit(table.label[unseen], table.predicted[unseen], patients).errors
    folder = checkpoint.parent
    if errors and os.access(folder, os.W_OK):
        measures = {name: asdict(error) for name, error in errors.items()}
        content = {"checkpoint": sha256(checkpoint), "data": data, "measures": measures}
        write_json(folder / MEASUREMENT_ERRORS, content)


def load_held_out_errors(checkpoints: Sequence[Path], tta: str) -> LoadedErrors | None:
    """Load the measurement errors from the test of a single checkpoint with a single view.

    Args:
        checkpoints: The checkpoints of a prediction.
        tta: The test-time augmentation of the prediction.

    Returns:
        The errors, or None if there are several checkpoints or views, or no stored errors of the checkpoint.

    Raises:
        UserError: If the file is damaged.
    """
    path = checkpoints[0].parent / MEASUREMENT_ERRORS
    if len(checkpoints) > 1 or tta != "none" or not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["checkpoint"] != sha256(checkpoints[0]):
            return None
        errors = {name: MeasurementError(**error) for name, error in content["measures"].items()}
        patients = max(error.patients for error in errors.values())
        remark = (
            "95 % intervals are the error of this checkpoint on its test part: prediction minus label map on slices of "
            f"{patients} patients of data={content['data']}. They say nothing about other scanners and annotators."
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{shorten_path(path)}: damaged ({error}); remove it, or test the checkpoint again") from error
    return LoadedErrors(HeldOutErrors(errors), remark)
