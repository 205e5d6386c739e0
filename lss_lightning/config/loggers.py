"""The ``logger`` section, which names Lightning loggers, and the ``examples`` that they show."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Annotated, Any, Literal

from pydantic import NonNegativeInt, PlainValidator, PositiveInt

from lss_lightning.config.targets import check_named_targets
from lss_lightning.config.validation import build


@dataclass(frozen=True)
class WandbConfig:
    """The arguments of the project's logger for Weights & Biases.

    Attributes:
        project: Name of the project.
        entity: User or team; None for the account's default.
        mode: ``online``, ``offline`` or ``disabled``. Without an account or network connection, a run is recorded
            offline.
        group: Name under which runs are grouped; None for the sweep directory.
        tags: Tags of the run.
        checkpoint: Whether to upload the tested checkpoint as an artifact.
        timeout: Time in seconds to wait for the server at the start.
    """

    project: str = "lss_lightning"
    entity: str | None = None
    mode: Literal["online", "offline", "disabled"] = "online"
    group: str | None = None
    tags: list[str] = field(default_factory=list)
    checkpoint: bool = True
    timeout: PositiveInt = 30


@dataclass(frozen=True)
class MLFlowConfig:
    """The arguments of the project's logger for MLflow.

    Attributes:
        experiment_name: Name of the experiment.
        tracking_uri: A database such as ``sqlite:///logs/mlflow.db``, or the address of a server.
        artifact_location: Folder or address for the files of a new experiment; None for MLflow's default.
        tags: Tags of the run, by name.
        checkpoint: Whether to store the tested checkpoint as an artifact.
    """

    experiment_name: str = "lss_lightning"
    tracking_uri: str = "sqlite:///logs/mlflow.db"
    artifact_location: str | None = "logs/mlflow"
    tags: dict[str, str] = field(default_factory=dict)
    checkpoint: bool = True


@dataclass(frozen=True)
class ExamplesConfig:
    """``examples``: the slices that loggers show.

    Attributes:
        count: Number of validation slices that loggers show during training, which are always the same. If 0, loggers
            show neither these nor the tested slices.
        every: Number of epochs between two sets of these slices.
    """

    count: NonNegativeInt = 4
    every: PositiveInt = 5


_ARGUMENTS: dict[str, type[WandbConfig | MLFlowConfig]] = {
    "lss_lightning.reporting.loggers.mlflow.MLFlowLogger": MLFlowConfig,
    "lss_lightning.reporting.loggers.wandb.WandbLogger": WandbConfig,
}
"""The arguments of loggers by class. The arguments of other classes are checked when the logger is created."""


def _check_loggers(values: Any) -> dict[str, dict[str, Any]]:
    """Check that each entry names a class, and check the arguments of the project's own classes."""
    entries = check_named_targets(values, "logger")
    for name, entry in entries.items():
        if entry["_target_"] in _ARGUMENTS:
            entry.update(asdict(build(_ARGUMENTS[entry["_target_"]], entry, f"logger.{name}")))
    return entries


LoggerSection = Annotated[dict[str, dict[str, Any]], PlainValidator(_check_loggers)]
"""``logger``: Lightning loggers by name, each with its class as ``_target_`` and its arguments."""
