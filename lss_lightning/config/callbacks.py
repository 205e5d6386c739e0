"""The ``callbacks`` section: Lightning callbacks by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt
from typing_extensions import TypedDict

from lss_lightning.config.targets import check_named_targets
from lss_lightning.config.validation import validate_open
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError


class EarlyStoppingSettings(TypedDict, total=False):
    """Checked settings of Lightning's ``EarlyStopping``.

    Attributes:
        monitor: The metric.
        mode: Whether a higher (``max``) or a lower value (``min``) is better.
        patience: Number of validations without a better value before training stops.
    """

    monitor: str
    mode: Literal["min", "max"]
    patience: PositiveInt


class EMASettings(TypedDict, total=False):
    """Checked settings of Lightning's ``EMAWeightAveraging``.

    Attributes:
        decay: Decay factor of the moving average.
    """

    decay: Annotated[float, Field(gt=0, lt=1)]


class BestCheckpointSettings(TypedDict, total=False):
    """Settings of :class:`~lss_lightning.workflows.training.checkpoints.BestCheckpoint`.

    Attributes:
        monitor: The metric.
        mode: Whether a higher (``max``) or a lower value (``min``) is better.
    """

    monitor: str
    mode: Literal["min", "max"]


EARLY_STOPPING = "pytorch_lightning.callbacks.EarlyStopping"

_SCHEMAS: dict[str, Any] = {
    EARLY_STOPPING: EarlyStoppingSettings,
    "pytorch_lightning.callbacks.EMAWeightAveraging": EMASettings,
    "lss_lightning.workflows.training.checkpoints.BestCheckpoint": BestCheckpointSettings,
}
"""The settings of shipped callbacks that are checked before the class is imported."""

_NUMBERS = {"early_stopping": "patience", "ema": "decay"}
"""The setting of a shipped callback that a single number is most likely intended for."""


def check_callbacks(values: Any) -> dict[str, dict[str, Any]]:
    """Check the ``callbacks`` section.

    Args:
        values: The section as plain data.

    Returns:
        The enabled callbacks, in the order of the section.

    Raises:
        UserError: If an entry names no class, or a setting of a shipped callback is not allowed.
    """
    for name, entry in values.items() if isinstance(values, Mapping) else ():
        if name in _NUMBERS and isinstance(entry, int | float) and not isinstance(entry, bool):
            raise UserError(
                f"callbacks.{name}={format_setting(entry)}: a callback with settings, not a value; set "
                f"callbacks={name} and callbacks.{name}.{_NUMBERS[name]}={format_setting(entry)}"
            )
    entries = check_named_targets(values, "callbacks")
    return {
        name: validate_open(_SCHEMAS[entry["_target_"]], entry, f"callbacks.{name}")
        if entry["_target_"] in _SCHEMAS
        else entry
        for name, entry in entries.items()
    }
