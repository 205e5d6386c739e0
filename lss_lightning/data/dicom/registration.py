"""Finds how a T2 image lies against a T1 image of the same slice, and moves it there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.errors import UserError

_BINS = 32
_SHRINK, _SMOOTH_MM = (4, 2, 1), (2.0, 1.0, 0.5)
_SHARE, _SEED = 0.25, 20190701
# First steps, mm: the longer one can leave the slope for good, and then the search is begun again with the shorter.
_STRIDES = (2.0, 0.5)


@dataclass(frozen=True)
class Registration:
    """T2 on T1's grid.

    Attributes:
        image: T2, float32 of T1's shape; 0 where it has no signal.
        covered: Where it has, bool.
        dx: What T2 was moved by beyond what the headers say, mm to the right.
        dy: The same, mm down.
        turn: What it was turned by about T1's middle before, radians; the right edge turned down is positive.
        information_before: Mattes mutual information of the pair as the headers place it, nats.
        information_after: The same for the best place found; where it is less, T2 was left where the headers place it.
    """

    image: NDArray[np.float32]
    covered: NDArray[np.bool_]
    dx: float
    dy: float
    turn: float
    information_before: float
    information_after: float

    @property
    def improved(self) -> bool:
        """Whether the place found was used: mutual information did not fall."""
        return self.information_after >= self.information_before


def register(t1: NDArray[np.floating], t1_plane: Plane, t2: NDArray[np.floating], t2_plane: Plane) -> Registration:
    """Resample T2 onto T1's grid by geometry and register it, with a single interpolation.

    Rigid in the plane; Mattes mutual information over three resolutions (Mattes et al., IEEE TMI 22(1), 2003), sampled
    with a fixed seed on one thread, so that the same pair gives the same transform.

    Args:
        t1: (H, W).
        t1_plane: Where it lies.
        t2: Another (H, W).
        t2_plane: Where it lies: parallel to T1, and facing it.

    Raises:
        UserError: the two hardly overlap, or one is blank.
    """
    fixed, moving = _image(t1, t1_plane), _image(t2, t2_plane)
    matrix, shift = t1_plane.to(t2_plane)
    headers = SimpleITK.AffineTransform(matrix.ravel().tolist(), shift.tolist())
    still = SimpleITK.Euler2DTransform()
    pair = _clipped(fixed), _clipped(moving)
    try:
        before = _information(*pair, headers, still)
        for stride in _STRIDES:
            found = _optimise(*pair, headers, stride)
            after = _information(*pair, headers, found)
            if after >= before:
                break
    except RuntimeError as error:
        raise UserError(
            "T1 and T2 overlap too little, or one of them is blank: they cannot be registered; look at both series"
        ) from error
    used = found if after >= before else still
    image, covered = _resample(moving, fixed, SimpleITK.CompositeTransform([headers, used]))
    # ITK's transform says where T1's points lie in T2; its inverse, where T2 went.
    dx, dy = used.GetInverse().TransformPoint((0.0, 0.0))
    return Registration(image, covered, dx, dy, -used.GetAngle(), before, after)


def _image(pixels: NDArray[np.floating], plane: Plane) -> SimpleITK.Image:
    """In mm from the image's middle."""
    image = SimpleITK.GetImageFromArray(pixels.astype(np.float32))
    spacing = (plane.spacing[1], plane.spacing[0])
    image.SetSpacing(spacing)
    image.SetOrigin([-(count - 1) / 2 * step for count, step in zip(image.GetSize(), spacing, strict=True)])
    return image


def _clipped(image: SimpleITK.Image) -> SimpleITK.Image:
    """Without the brightest hundredth, which would leave the histogram's bins to a few pixels."""
    low, high = np.percentile(SimpleITK.GetArrayViewFromImage(image), (0.5, 99.0))
    return SimpleITK.Clamp(image, lowerBound=float(low), upperBound=float(high))


def _optimise(
    fixed: SimpleITK.Image, moving: SimpleITK.Image, headers: SimpleITK.Transform, stride: float
) -> SimpleITK.Euler2DTransform:
    method = _method(headers)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_SHARE, _SEED)
    method.SetShrinkFactorsPerLevel(_SHRINK)
    method.SetSmoothingSigmasPerLevel(_SMOOTH_MM)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=stride, minStep=0.005, numberOfIterations=100, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    found = SimpleITK.Euler2DTransform()
    method.SetInitialTransform(found, inPlace=True)
    method.Execute(fixed, moving)
    return found


def _information(
    fixed: SimpleITK.Image, moving: SimpleITK.Image, headers: SimpleITK.Transform, way: SimpleITK.Transform
) -> float:
    method = _method(headers)
    method.SetInitialTransform(way)
    return -float(method.MetricEvaluate(fixed, moving))


def _method(headers: SimpleITK.Transform) -> SimpleITK.ImageRegistrationMethod:
    method = SimpleITK.ImageRegistrationMethod()
    # One thread, one sum: the result is the same on any number of cores.
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMovingInitialTransform(headers)
    method.SetInterpolator(SimpleITK.sitkLinear)
    return method


def _resample(
    moving: SimpleITK.Image, fixed: SimpleITK.Image, way: SimpleITK.Transform
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    inside = SimpleITK.Image(moving.GetSize(), SimpleITK.sitkUInt8) + 1
    inside.CopyInformation(moving)
    covered = (
        SimpleITK.GetArrayFromImage(SimpleITK.Resample(inside, fixed, way, SimpleITK.sitkNearestNeighbor, 0.0)) > 0
    )
    image = SimpleITK.GetArrayFromImage(SimpleITK.Resample(moving, fixed, way, SimpleITK.sitkBSpline, 0.0))
    return np.where(covered, np.maximum(image, 0), 0).astype(np.float32), covered
