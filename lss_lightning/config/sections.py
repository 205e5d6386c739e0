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
