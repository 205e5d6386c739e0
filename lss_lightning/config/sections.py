"""The sections of the configuration that several commands share, and those of a training."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt
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
        interval: Whether the scheduler is stepped after every epoch or every optimizer step.
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
