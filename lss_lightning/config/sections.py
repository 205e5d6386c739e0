"""The sections of the configuration that are shared by several commands or describe a training run."""

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
"""The type of ``name``, which is used as the name of a directory."""


@dataclass(frozen=True)
class PathsConfig:
    """``paths``: the folders for runs and data, relative to the working directory.

    Attributes:
        logs: Folder of the run directories.
        data: Folder of the phantoms.
        cache: Folder of decoded slices, which runs share. If None, each process decodes the slices into its memory.
    """

    logs: str = "logs"
    data: str = "data"
    cache: str | None = "data/cache"


@dataclass(frozen=True)
class OutputConfig:
    """``output``: the files that ``predict.py`` writes in addition to the measurements, and their folder.

    Attributes:
        folder: The output folder, which contains one folder per study.
        label_maps: Whether to write label maps as PNG.
        nifti: Whether to write label maps as NIfTI, in the space of the source.
        overlays: Whether to write a PNG of each measured slice with outlines and calipers.
        seg: Whether to write a DICOM segmentation of DICOM studies.
        sr: Whether to write a DICOM structured report of DICOM studies. It refers to the segmentation if that
            is written.
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
        class_weights: Scheme for computing class weights from the training labels, for losses that accept weights.
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
        T_max: Number of scheduler steps until cosine annealing reaches its minimum.
        total_iters: Number of scheduler steps until polynomial decay reaches zero.
        interval: Whether the scheduler is advanced after every epoch or every optimizer step.
        monitor: The logged value that a scheduler such as ``ReduceLROnPlateau`` receives.
    """

    eta_min: NonNegativeFloat
    power: PositiveFloat
    T_max: PositiveInt
    total_iters: PositiveInt
    interval: Literal["epoch", "step"]
    monitor: str


def config_folder() -> Path:
    """Return the folder of the YAML files: ``conf/`` in a checkout, or its copy in an installed package."""
    package = Path(__file__).parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"
