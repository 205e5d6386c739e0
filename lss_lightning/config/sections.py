"""The sections of the configuration that several commands share, and those of the network and its training."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, Required

from pydantic import AfterValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, StrictStr
from typing_extensions import TypedDict

from lss_lightning.display import format_setting
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
class EncoderConfig:
    """``encoder``: the encoder of the U-Net.

    Attributes:
        name: Name of a timm network.
    """

    name: str


@dataclass(frozen=True)
class ModelConfig:
    """``model``: the U-Net around the encoder.

    Attributes:
        name: Name in tables and default run names.
        pretrained: Whether the encoder starts from timm's ImageNet weights, or the path of a weights file.
        upsampling: ``transpose`` (transposed convolution, as in the paper), ``nearest`` or ``bilinear``.
        decoder_channels: Filters of the decoder's blocks, from the deepest to full resolution.
    """

    name: str
    pretrained: bool | StrictStr = False
    upsampling: Literal["transpose", "nearest", "bilinear"] = "transpose"
    decoder_channels: list[int] = field(default_factory=lambda: [256, 128, 64, 32, 16])

    def __post_init__(self) -> None:
        if not self.decoder_channels or min(self.decoder_channels) < 1:
            channels = format_setting(self.decoder_channels)
            raise UserError(f"model.decoder_channels={channels}: give one or more whole numbers from 1")


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
class WandbConfig:
    """``logger.wandb``: the run in Weights & Biases.

    Attributes:
        project: Name of the project.
        entity: User or team. None is the account's default.
        mode: ``online``, ``offline`` or ``disabled``. Without an account or network a run is recorded offline.
        group: Name under which runs are grouped. None is the sweep directory.
        tags: Tags of the run.
        checkpoint: Whether to upload the tested checkpoint as an artifact.
        timeout: Seconds to wait for the server at the start.
    """

    project: str = "lss_lightning"
    entity: str | None = None
    mode: Literal["online", "offline", "disabled"] = "online"
    group: str | None = None
    tags: list[str] = field(default_factory=list)
    checkpoint: bool = True
    timeout: PositiveInt = 30


@dataclass(frozen=True)
class LoggerConfig:
    """``logger``: the files and trackers that record every epoch.

    Attributes:
        csv: Whether to write ``metrics.csv`` and ``timing.csv``.
        tensorboard: Whether to write TensorBoard event files.
        examples: Number of validation slices that trackers show, always the same. With 0 trackers show neither these
            nor the tested slices.
        examples_every: Epochs between two sets of these slices.
        wandb: Settings of Weights & Biases. None does not use it.
    """

    csv: bool = True
    tensorboard: bool = False
    examples: NonNegativeInt = 4
    examples_every: PositiveInt = 5
    wandb: WandbConfig | None = None

    @property
    def tracks(self) -> bool:
        """Whether any tracker records the run."""
        return self.tensorboard or self.wandb is not None


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
        sr: Whether to write a DICOM structured report of DICOM studies. It refers to the segmentation, if that is
            written.
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


class LossSettings(TypedDict, total=False):
    """Keys of ``loss`` that several losses share.

    Attributes:
        class_weights: How classes are weighted, by the training labels.
        gamma: Exponent of the focal loss.
        lambda_dice: Weight of the Dice term.
        lambda_ce: Weight of the cross-entropy term.
    """

    class_weights: Required[Literal["none", "inverse", "effective"]]
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

    lr: Required[PositiveFloat]
    weight_decay: NonNegativeFloat
    momentum: Annotated[float, Field(ge=0, lt=1)]


class SchedulerSettings(TypedDict, total=False):
    """Keys of ``scheduler`` that several learning-rate schedulers share.

    Attributes:
        eta_min: Minimum learning rate of cosine annealing.
        power: Exponent of polynomial decay.
        T_max: Epochs until cosine annealing reaches its minimum.
        total_iters: Epochs until polynomial decay reaches zero.
    """

    eta_min: NonNegativeFloat
    power: PositiveFloat
    T_max: PositiveInt
    total_iters: PositiveInt


def config_folder() -> Path:
    """Return the folder of the YAML files: ``conf/`` of a checkout, or the copy inside an installed package."""
    package = Path(__file__).parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"
