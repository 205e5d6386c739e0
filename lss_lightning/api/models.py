"""The Python interface to trained networks: segment arrays, measure label maps, and process whole studies."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lss_lightning.api.runs import check_command, format_checkpoints, run_command
from lss_lightning.config.overrides import quote_path
from lss_lightning.config.predict import PredictConfig
from lss_lightning.data.studies import InputRequirements, build_network_image, find_studies, open_input
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.models.checkpoint import CheckpointMetadata
from lss_lightning.stenosis import Side, SliceMeasurements, StudyResult, measure_slice
from lss_lightning.workflows.prediction.engine import NetworkInput
from lss_lightning.workflows.prediction.models import PredictionModels

Checkpoints = str | PathLike[str] | Sequence[str | PathLike[str]]
"""A checkpoint, run directory or sweep directory, or several of them as an ensemble."""


@dataclass(frozen=True)
class SegmentedImage:
    """The segmentation of an image.

    Attributes:
        label_map: Class indices (H, W), uint8, on the grid of the image.
        probabilities: Class probabilities (K, H, W), float32, averaged over the networks and test-time views.
    """

    label_map: NDArray[np.uint8]
    probabilities: NDArray[np.float32]


class TrainedModel:
    """A checkpoint, or an ensemble of checkpoints, ready to segment images. Create it with :func:`load`.

    Attributes:
        metadata: The metadata of the first checkpoint: classes, working spacing, training configuration.
    """

    def __init__(self, models: PredictionModels) -> None:
        self._models = models
        self.metadata: CheckpointMetadata = models.all_metadata[0]

    @property
    def labels(self) -> LabelSet:
        """The classes, in the order of the class indices."""
        return self.metadata.label_set

    @property
    def channels(self) -> str:
        """The input channels of the network: a value of ``data.channels``, such as ``composite`` or ``t1``."""
        return self._models.channels

    @property
    def disclaimer(self) -> str:
        """A statement of the network's training data and its restriction to research use."""
        return self._models.disclaimer

    def predict(
        self,
        image: NDArray[np.uint8] | Mapping[str, NDArray[np.uint8]],
        spacing: float | tuple[float, float] | None = None,
    ) -> SegmentedImage:
        """Segment an axial slice.

        Args:
            image: The channels that the network was trained on, uint8, of shape (C, H, W) or, for one channel, (H, W).
                Alternatively, the images by name, ``{"T1": (H, W), "T2": (H, W)}``, from which the channels are built
                as in training.
            spacing: Pixel spacing in mm, or the height and width of a pixel in mm. If None, the image is segmented at
                its own resolution, which is valid only if the training images have the same resolution.

        Raises:
            UserError: If the shape, dtype or number of channels of the image is wrong, or the spacing is not positive.
        """
        pixels = self._build_channels(image)
        return next(iter(self.predict_batch([pixels], spacing)))

    def predict_batch(
        self, images: Sequence[NDArray[np.uint8]], spacing: float | tuple[float, float] | None = None
    ) -> Iterable[SegmentedImage]:
        """Segment slices with the same pixel spacing in batches.

        Args:
            images: The channels of each slice, as for :meth:`predict`.
            spacing: Pixel spacing in mm, as for :meth:`predict`.

        Yields:
            The segmentation of each slice, in order.

        Raises:
            UserError: As for :meth:`predict`.
        """
        size = (spacing, spacing) if isinstance(spacing, int | float) else spacing
        if size is not None and not min(size) > 0:
            raise UserError(f"spacing={spacing}: out of range; give the side of a pixel in mm, above 0")
        inputs = [NetworkInput(self._build_channels(image), size) for image in images]
        for members in self._models.engine.segment(inputs):
            probabilities = members.mean(axis=0)
            yield SegmentedImage(probabilities.argmax(axis=0).astype(np.uint8), probabilities)

    def _build_channels(self, image: NDArray[np.uint8] | Mapping[str, NDArray[np.uint8]]) -> NDArray[np.uint8]:
        if isinstance(image, Mapping):
            try:
                image = build_network_image(image, self.channels, self.metadata.third_channel)
            except KeyError as error:
                raise UserError(
                    f"image: has {', '.join(image)}, but the network needs {error.args[0]} "
                    f"(data.channels={self.channels}); add it"
                ) from error
        pixels = image[None] if image.ndim == 2 else image
        channels = self.metadata.network.in_channels
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or len(pixels) != channels:
            raise UserError(
                f"image: {image.dtype} array of shape {image.shape}; give uint8 of shape ({channels}, height, width)"
            )
        return pixels


def load(ckpt_path: Checkpoints, overrides: Iterable[str] = ()) -> TrainedModel:
    """Load trained networks for inference.

    Args:
        ckpt_path: A checkpoint, run directory or sweep directory. Several of them form an ensemble.
        overrides: Further settings of ``predict.py``, e.g. ``["tta=flip", "trainer.accelerator=cpu"]``.

    Raises:
        UserError: If a checkpoint or setting cannot be used.
    """
    # predict.py checks that its input exists and its output folder is free.
    with tempfile.TemporaryDirectory() as scratch:
        config = _check_predict(ckpt_path, scratch, overrides)
    return TrainedModel(PredictionModels.load(config))


def measure(
    label_map: NDArray[Any],
    spacing: float | tuple[float, float] | None,
    labels: LabelSet = LUMBAR,
    image_left: Side | None = None,
) -> SliceMeasurements:
    """Measure an axial slice.

    Args:
        label_map: Class indices (H, W) of an integer dtype, or class probabilities (K, H, W) of a floating dtype.
        spacing: Pixel spacing in mm, or the height and width of a pixel in mm. If None, only ratios are measured.
        labels: The classes, in index order.
        image_left: The patient's side at the left of the image. If None, radiological orientation is assumed.

    Returns:
        The measurements, lengths in mm and areas in mm², each with a value or the reason why it is withheld.

    Raises:
        UserError: If the label set lacks a measured class, or the spacing is not positive.
    """
    size = (float(spacing), float(spacing)) if isinstance(spacing, int | float) else spacing
    return measure_slice(label_map, labels, size, image_left=image_left)


def predict(
    ckpt_path: Checkpoints, input: str | PathLike[str], output: str | PathLike[str], overrides: Iterable[str] = ()
) -> Path:
    """Segment and measure studies and write their reports, as ``predict.py`` does.

    Args:
        ckpt_path: A checkpoint, run directory or sweep directory. Several of them form an ensemble.
        input: A study, or a folder or zip archive of studies.
        output: The folder for the results, with a subfolder for each study.
        overrides: Further settings as on the command line.

    Returns:
        The output folder.

    Raises:
        UserError: If a checkpoint, the input or a setting cannot be used.
        IncompleteError: If part of the input could not be used. The results of the rest are still written.
    """
    run_command("predict", _list_settings(ckpt_path, input, output, overrides))
    return Path(output)


def predict_study(ckpt_path: Checkpoints, input: str | PathLike[str], overrides: Iterable[str] = ()) -> StudyResult:
    """Segment and measure one study without writing files.

    Args:
        ckpt_path: A checkpoint, run directory or sweep directory. Several of them form an ensemble.
        input: A study: a file, folder or zip archive.
        overrides: Further settings of ``predict.py``, e.g. ``["levels={slice_03: L3/4}", "pixel_size=0.5"]``.

    Returns:
        The slices with their label maps, probabilities, measurements, findings and flags.

    Raises:
        UserError: If a checkpoint, the input or a setting cannot be used, or if the input contains several studies.
    """
    with tempfile.TemporaryDirectory() as scratch:
        config = _check_predict(ckpt_path, input, overrides)
        models = PredictionModels.load(config)
        with open_input(Path(config.input).expanduser()) as root:
            studies = find_studies(root, Path(config.input), Path(scratch), config.series_by_kind).studies
            if len(studies) != 1:
                raise UserError(f"input={fspath(input)}: contains {len(studies)} studies; give one, or use predict()")
            requirements = InputRequirements(models.channels, config.pixel_size, config.series_by_kind)
            name = "study_1"
            return models.predict_study(studies[0].read(requirements, name), name, config.levels_of(name))


def _check_predict(ckpt_path: Checkpoints, input: str | PathLike[str], overrides: Iterable[str]) -> PredictConfig:
    """Check the configuration of a prediction that writes nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        config, _, _ = check_command("predict", _list_settings(ckpt_path, input, Path(scratch, "none"), overrides))
    assert isinstance(config, PredictConfig)
    return config


def _list_settings(
    ckpt_path: Checkpoints, input: str | PathLike[str], output: str | PathLike[str], overrides: Iterable[str]
) -> list[str]:
    paths = {"input": input, "output": output}
    return [
        format_checkpoints(ckpt_path),
        *(f"{key}={quote_path(Path(path))}" for key, path in paths.items()),
        *overrides,
    ]
