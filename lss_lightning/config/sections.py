"""The sections of the configuration that several commands share, and those of a training."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, StrictStr
from typing_extensions import TypedDict

from lss_lightning.errors import UserError


def _check_run_name(name: str) -> str:
    if not re.fullmatch(r"\w[\w .+-]*", name):
        raise UserError(
            f"name={name}: not a name for a run directory; only letters, digits, spaces and . _ + - are allowed"
        )
    return name


RunName = Annotated[str, AfterValidator(_check_run_name)]
"""The ``name`` of a command, which becomes the name of a directory."""


@dataclass(frozen=True)
class TrainerConfig:
    """``trainer``: devices, precision and length. Most settings are those of Lightning's Trainer.

    Attributes:
        accelerator: Kind of device, or ``auto``.
        devices: Number of devices per node, -1 for all, or ``auto``: all GPUs, or one process on the CPU.
        num_nodes: Number of machines.
        strategy: Name of a Lightning strategy, or ``auto``.
        precision: Floating-point precision, or ``auto``: bf16-mixed where the hardware supports it natively, else
            32-true.
        max_epochs: Number of epochs.
        accumulate_grad_batches: Batches per optimizer step.
        gradient_clip_val: Maximum gradient norm. None does not clip.
        limit_train_batches: Number of training batches per epoch, or their fraction if a float. None uses all.
        limit_val_batches: The same for validation batches.
        limit_test_batches: The same for test batches.
        deterministic: Whether to use deterministic algorithms only.
        sync_batchnorm: Whether batch norm uses the images of all GPUs.
        compile: Whether to compile the network with ``torch.compile``.
        max_time: Time limit as ``[days:]hours:minutes:seconds``. Training ends after the last epoch that fits in.
        check_every: Steps between two checks that the loss is finite.
    """

    accelerator: Literal["auto", "cpu", "gpu", "cuda", "mps"] = "auto"
    devices: Annotated[int, Field(ge=-1)] | StrictStr = "auto"
    num_nodes: PositiveInt = 1
    strategy: str = "auto"
    precision: Literal["auto", "32-true", "16-mixed", "bf16-mixed", "64-true"] = "auto"
    max_epochs: PositiveInt = 200
    accumulate_grad_batches: PositiveInt = 1
    gradient_clip_val: PositiveFloat | None = None
    limit_train_batches: PositiveInt | PositiveFloat | None = None
    limit_val_batches: PositiveInt | PositiveFloat | None = None
    limit_test_batches: PositiveInt | PositiveFloat | None = None
    deterministic: bool = False
    sync_batchnorm: bool = False
    compile: bool = False
    max_time: str | None = None
    check_every: PositiveInt = 50

    @property
    def seconds(self) -> int | None:
        """``max_time`` in seconds."""
        if self.max_time is None:
            return None
        days, hours, minutes, seconds = [0, 0, 0, *map(int, self.max_time.split(":"))][-4:]
        return ((days * 24 + hours) * 60 + minutes) * 60 + seconds

    def __post_init__(self) -> None:
        if self.max_time is not None and not re.fullmatch(r"(\d+:)?\d+:\d\d:\d\d", self.max_time):
            raise UserError(f"trainer.max_time={self.max_time}: give hours:minutes:seconds, such as 11:30:00, or null")
        if self.devices == 0 or (isinstance(self.devices, str) and self.devices != "auto"):
            raise UserError(f"trainer.devices={self.devices}: give a number from 1, -1 for all, or auto")
        for name in ("limit_train_batches", "limit_val_batches", "limit_test_batches"):
            limit = getattr(self, name)
            if isinstance(limit, float) and limit > 1:
                raise UserError(f"trainer.{name}={limit}: give a whole number of batches, or a fraction up to 1.0")


@dataclass(frozen=True)
class CallbacksConfig:
    """``callbacks``: early stopping, weight averaging and the progress display.

    Attributes:
        early_stopping: Epochs without a better validation objective before training stops. None does not stop early.
        ema_decay: Decay of an exponential moving average of the weights, which is validated, tested and kept in place
            of the weights. None averages nothing.
        progress_bar: Whether to show a progress bar.
        model_summary: Whether to print a summary of the network.
    """

    early_stopping: PositiveInt | None = None
    ema_decay: Annotated[float, Field(gt=0, lt=1)] | None = None
    progress_bar: bool = True
    model_summary: bool = True


@dataclass(frozen=True)
class PathsConfig:
    """``paths``: where runs and data are written, relative to the working directory.

    Attributes:
        logs: Folder of the run directories.
        data: Folder of the phantoms.
        cache: Folder of decoded slices, which runs share. None decodes the slices into the memory of each process.
    """

    logs: str = "logs"
    data: str = "data"
    cache: str | None = "data/cache"


@dataclass(frozen=True)
class OutputConfig:
    """``output``: what ``predict.py`` writes beside the measurements, and where.

    Attributes:
        folder: The output folder. Each study gets a folder in it.
        label_maps: Whether to write label maps as PNG.
        nifti: Whether to write label maps as NIfTI, in the space of the source.
        overlays: Whether to write a PNG of each measured slice with outlines and calipers.
        seg: Whether to write a DICOM segmentation of DICOM studies.
        sr: Whether to write a DICOM structured report of DICOM studies.
        html: Whether to write the HTML report.
        keep_identity: Whether SEG and SR keep the patient's name, ID, birth date and accession number.
    """

    folder: str
    label_maps: bool = True
    nifti: bool = True
    overlays: bool = True
    seg: bool = True
    sr: bool = True
    html: bool = True
    keep_identity: bool = False

    def __post_init__(self) -> None:
        if self.sr and not self.seg:
            raise UserError("output.sr=true with output.seg=false: the report refers to the segmentation; set both")


class LossSettings(TypedDict, total=False):
    """Keys of ``loss`` that several losses share.

    Attributes:
        class_weights: How classes are weighted, by the training labels. Only for losses that take class weights.
        gamma: Exponent of the focal loss.
        lambda_dice: Weight of the Dice term.
        lambda_ce: Weight of the cross-entropy term.
    """

    class_weights: Literal["none", "inverse", "effective"]
    gamma: NonNegativeFloat
    lambda_dice: NonNegativeFloat
    lambda_ce: NonNegativeFloat


class OptimizerSettings(TypedDict, total=False):
    """Keys of ``optimizer`` that most optimizers share.

    Attributes:
        lr: Learning rate.
        weight_decay: Weight decay.
        momentum: Momentum.
    """

    lr: PositiveFloat
    weight_decay: NonNegativeFloat
    momentum: Annotated[float, Field(ge=0, lt=1)]


class SchedulerSettings(TypedDict, total=False):
    """Keys of ``scheduler`` that several learning-rate schedulers share.

    Attributes:
        eta_min: Minimum learning rate of cosine annealing.
        power: Exponent of polynomial decay.
        T_max: Steps of the scheduler until cosine annealing reaches its minimum.
        total_iters: Steps of the scheduler until polynomial decay reaches zero.
        interval: Whether the scheduler takes a step after every epoch or every step of the optimizer.
        monitor: The logged value that a scheduler such as ``ReduceLROnPlateau`` receives.
    """

    eta_min: NonNegativeFloat
    power: PositiveFloat
    T_max: PositiveInt
    total_iters: PositiveInt
    interval: Literal["epoch", "step"]
    monitor: str


def config_folder() -> Path:
    """Return the folder of the YAML files: ``conf/`` of a checkout, or the copy inside an installed package."""
    package = Path(__file__).parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"
