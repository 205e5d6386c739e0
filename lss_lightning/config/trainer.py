"""The ``trainer`` section (arguments of Lightning's Trainer) and the ``engine`` section (settings of this project)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PlainValidator, PositiveFloat, PositiveInt, StrictStr

from lss_lightning.config.targets import check_target
from lss_lightning.display import format_setting
from lss_lightning.errors import UserError, suggest_nearest

PROFILERS = ("simple", "advanced", "pytorch", "xla")
"""Lightning's names for its profilers."""

REFUSED = {
    "logger": "loggers have a section of their own; set logger=…",
    "callbacks": "callbacks have a section of their own; set +callbacks.<name>._target_=…",
    "default_root_dir": "a run writes into the directory that Hydra creates for it; set hydra.run.dir=…",
    "use_distributed_sampler": "Lightning's sampler would repeat slices to give every process the same number; this "
    "project's sampler distributes them without repeating any; leave it out",
    "limit_predict_batches": "only the pictures of the report are predictions, and none may be missing; leave it out",
    "barebones": "without checkpoints and logged metrics a run has no result; leave it out",
    "model_registry": "it applies only to the checkpoint callback that Lightning adds if there is none; set "
    "+callbacks.<name>._target_=litmodels.integrations.checkpoints.LightningModelCheckpoint",
}
"""Arguments of the Trainer that cannot be set, and the reasons."""


def _check_class(name: str, value: Any) -> str | dict[str, Any] | None:
    """Check an argument that may be null, a string known to Lightning, or a section that names a class."""
    key = f"trainer.{name}"
    if isinstance(value, Mapping):
        check_target(value, key, f"give the full name of a class, {key}._target_=…")
        return dict(value)
    if not isinstance(value, str | None):
        raise UserError(f"{key}={format_setting(value)}: give text, or a class as {key}={{_target_: …}}")
    return value


def _check_profiler(value: Any) -> str | dict[str, Any] | None:
    checked = _check_class("profiler", value)
    if isinstance(checked, str) and checked not in PROFILERS:
        hint = suggest_nearest(checked, PROFILERS)
        raise UserError(f"trainer.profiler={checked}: unknown{hint}; allowed: {', '.join(PROFILERS)}, or a class")
    return checked


def _check_plugins(value: Any) -> list[str | dict[str, Any]]:
    plugins = value if isinstance(value, list) else [] if value is None else [value]
    return [plugin for plugin in (_check_class("plugins", plugin) for plugin in plugins) if plugin is not None]


@dataclass(frozen=True)
class TrainerConfig:
    """``trainer``: the arguments of Lightning's Trainer, as explained in its documentation.

    The defaults are Lightning's, except for those of ``precision``, ``max_epochs``, ``num_sanity_val_steps`` and
    ``use_distributed_sampler``. The comments describe what this project adds.
    """

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: Annotated[int, Field(ge=-1)] | StrictStr | list[NonNegativeInt] = "auto"  # auto: one process on a CPU
    num_nodes: PositiveInt = 1
    strategy: Annotated[str | dict[str, Any] | None, PlainValidator(partial(_check_class, "strategy"))] = "auto"
    # auto: bf16-mixed if the hardware supports it natively, otherwise 32-true
    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed", "64-true"] = "auto"
    plugins: Annotated[list[str | dict[str, Any]] | None, PlainValidator(_check_plugins)] = None
    sync_batchnorm: bool = False
    max_epochs: PositiveInt | Literal[-1] | None = 200
    min_epochs: PositiveInt | None = None
    max_steps: PositiveInt | Literal[-1] = -1
    min_steps: PositiveInt | None = None
    max_time: StrictStr | dict[str, int] | None = None
    accumulate_grad_batches: PositiveInt = 1
    gradient_clip_val: PositiveFloat | None = None
    gradient_clip_algorithm: Literal["norm", "value"] | None = None
    val_check_interval: PositiveInt | PositiveFloat | StrictStr | dict[str, int] | None = None
    check_val_every_n_epoch: PositiveInt | None = 1
    num_sanity_val_steps: Annotated[int, Field(ge=-1)] = 0
    limit_train_batches: PositiveInt | PositiveFloat | None = None
    limit_val_batches: NonNegativeInt | PositiveFloat | None = None  # 0: no validation
    limit_test_batches: PositiveInt | PositiveFloat | None = None
    overfit_batches: NonNegativeInt | NonNegativeFloat = 0.0
    fast_dev_run: bool | NonNegativeInt = False
    reload_dataloaders_every_n_epochs: NonNegativeInt = 0
    deterministic: bool | Literal["warn"] | None = None
    benchmark: bool | None = None  # None: enabled unless deterministic
    inference_mode: bool = True
    detect_anomaly: bool = False
    profiler: Annotated[str | dict[str, Any] | None, PlainValidator(_check_profiler)] = None
    log_every_n_steps: PositiveInt | None = None
    enable_checkpointing: bool | None = None
    enable_progress_bar: bool | None = None  # None: determined by the section callbacks
    enable_model_summary: bool | None = None  # None: determined by the section callbacks
    enable_autolog_hparams: bool = True
    logger: Any = None
    callbacks: Any = None
    default_root_dir: Any = None
    limit_predict_batches: Any = None
    use_distributed_sampler: Any = False
    barebones: Any = False
    model_registry: Any = None

    def __post_init__(self) -> None:
        for name, reason in REFUSED.items():
            if getattr(self, name) not in (None, False):
                raise UserError(f"trainer.{name}={format_setting(getattr(self, name))}: {reason}")
        is_text = isinstance(self.devices, str)
        if self.devices in (0, []) or (is_text and not re.fullmatch(r"auto|\d+(, *\d+)*", str(self.devices))):
            raise UserError(f"trainer.devices={self.devices}: give a number from 1, -1 for all, or auto")
        for name in ("limit_train_batches", "limit_val_batches", "limit_test_batches"):
            limit = getattr(self, name)
            if isinstance(limit, float) and limit > 1:
                raise UserError(f"trainer.{name}={limit}: give a whole number of batches, or a fraction up to 1.0")
        for name in ("max_time", "val_check_interval"):
            value = getattr(self, name)
            if isinstance(value, str) and not re.fullmatch(r"\d+:\d\d:\d\d:\d\d", value):
                raise UserError(f"trainer.{name}={value}: give days:hours:minutes:seconds, such as 00:11:30:00")

    @property
    def device_count(self) -> int | None:
        """The number of devices per node, or None if it depends on the machine."""
        if isinstance(self.devices, int):
            return self.devices if self.devices > 0 else None
        if isinstance(self.devices, str):
            return None if self.devices == "auto" else len([part for part in self.devices.split(",") if part.strip()])
        return len(self.devices)

    @property
    def uses_benchmark(self) -> bool:
        """Whether cuDNN times its algorithms for each new input size. The fastest algorithm may differ between runs."""
        return not self.deterministic if self.benchmark is None else self.benchmark


@dataclass(frozen=True)
class EngineConfig:
    """``engine``: the settings of a run that Lightning's Trainer lacks.

    Attributes:
        compile: Whether to compile the network with ``torch.compile``.
        max_time: Time limit as ``[days:]hours:minutes:seconds``. Training ends after the last epoch that fits within
            it.
        check_every: Steps between two checks that the loss is finite.
    """

    compile: bool = False
    max_time: str | None = None
    check_every: PositiveInt = 50

    def __post_init__(self) -> None:
        if self.max_time is not None and not re.fullmatch(r"(\d+:)?\d+:\d\d:\d\d", self.max_time):
            raise UserError(f"engine.max_time={self.max_time}: give hours:minutes:seconds, such as 11:30:00, or null")

    @property
    def seconds(self) -> int | None:
        """``max_time`` in seconds."""
        if self.max_time is None:
            return None
        days, hours, minutes, seconds = [0, 0, 0, *map(int, self.max_time.split(":"))][-4:]
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
