"""Rigid in-plane registration of a T2 image to the T1 image of the same slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from lss_lightning.data.dicom.geometry import Plane
from lss_lightning.errors import UserError

_BINS = 32
_SHRINK_FACTORS, _SMOOTHING_MM = (4, 2, 1), (2.0, 1.0, 0.5)
_SAMPLED_SHARE, _SEED = 0.25, 20190701
# Initial step lengths in mm. The long step can leave the basin of attraction; the search is then repeated with the
# short one.
_STEP_LENGTHS = (2.0, 0.5)


@dataclass(frozen=True)
class Registration:
    """T2 resampled to the grid of T1.

    Attributes:
        image: T2, float32 with the shape of T1. It is 0 where T2 has no signal.
        covered: Mask of the pixels where T2 has signal, bool with the shape of T1.
        dx: Shift of T2 to the right, relative to the position given by the headers, in mm.
        dy: Downward shift of T2, relative to the same position, in mm.
        rotation: Rotation of T2 about the centre of T1, applied before the shift, in radians. It is positive if the
            right edge moves down.
        information_before: Mattes mutual information of the pair at the position given by the headers, in nats.
        information_after: Mattes mutual information at the best position found, in nats. If this is less than before,
            T2 keeps the position given by the headers.
    """

    image: NDArray[np.float32]
    covered: NDArray[np.bool_]
    dx: float
    dy: float
    rotation: float
    information_before: float
    information_after: float

    @property
    def improved(self) -> bool:
        """Whether the registration was applied, because mutual information did not fall."""
        return self.information_after >= self.information_before


def register(t1: NDArray[np.floating], t1_plane: Plane, t2: NDArray[np.floating], t2_plane: Plane) -> Registration:
    """Register T2 to T1 and resample it onto the grid of T1, with a single interpolation.

    The headers give the initial position. The registration is rigid in the plane and maximises Mattes mutual
    information over three resolutions (Mattes et al., IEEE TMI 22(1), 2003). It samples with a fixed seed on one
    thread, so the same pair always gives the same transform.

    Args:
        t1: The fixed image, of shape (H, W).
        t1_plane: Position of ``t1`` in the patient.
        t2: The moving image, of shape (H', W').
        t2_plane: Position of ``t2`` in the patient, which must be parallel to ``t1_plane`` and face it.

    Raises:
        UserError: If the two images hardly overlap, or one of them is blank.
    """
    fixed, moving = _to_itk(t1, t1_plane), _to_itk(t2, t2_plane)
    matrix, shift = t1_plane.map_to(t2_plane)
    headers = SimpleITK.AffineTransform(matrix.ravel().tolist(), shift.tolist())
    identity = SimpleITK.Euler2DTransform()
    pair = _clip(fixed), _clip(moving)
    try:
        before = _compute_information(*pair, headers, identity)
        for step_length in _STEP_LENGTHS:
            optimum = _optimise(*pair, headers, step_length)
            after = _compute_information(*pair, headers, optimum)
            if after >= before:
                break
    except RuntimeError as error:
        raise UserError(
            "T1 and T2 overlap too little, or one of them is blank, so they cannot be registered; check both series"
        ) from error
    transform = optimum if after >= before else identity
    image, covered = _resample(moving, fixed, SimpleITK.CompositeTransform([headers, transform]))
    # ITK's transform maps points of T1 to T2; its inverse gives the movement of T2.
    dx, dy = transform.GetInverse().TransformPoint((0.0, 0.0))
    return Registration(image, covered, dx, dy, -transform.GetAngle(), before, after)


def _to_itk(pixels: NDArray[np.floating], plane: Plane) -> SimpleITK.Image:
    """Convert pixels to a SimpleITK image whose coordinates are in mm from its centre."""
    image = SimpleITK.GetImageFromArray(pixels.astype(np.float32))
    spacing = (plane.spacing[1], plane.spacing[0])
    image.SetSpacing(spacing)
    image.SetOrigin([-(count - 1) / 2 * step for count, step in zip(image.GetSize(), spacing, strict=True)])
    return image


def _clip(image: SimpleITK.Image) -> SimpleITK.Image:
    # A few very bright pixels would leave most of the histogram's bins empty.
    low, high = np.percentile(SimpleITK.GetArrayViewFromImage(image), (0.5, 99.0))
    return SimpleITK.Clamp(image, lowerBound=float(low), upperBound=float(high))


def _optimise(
    fixed: SimpleITK.Image, moving: SimpleITK.Image, headers: SimpleITK.Transform, step_length: float
) -> SimpleITK.Euler2DTransform:
    method = _build_method(headers)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_SAMPLED_SHARE, _SEED)
    method.SetShrinkFactorsPerLevel(_SHRINK_FACTORS)
    method.SetSmoothingSigmasPerLevel(_SMOOTHING_MM)
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=step_length, minStep=0.005, numberOfIterations=100, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    transform = SimpleITK.Euler2DTransform()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(fixed, moving)
    return transform


def _compute_information(
    fixed: SimpleITK.Image, moving: SimpleITK.Image, headers: SimpleITK.Transform, transform: SimpleITK.Transform
) -> float:
    method = _build_method(headers)
    method.SetInitialTransform(transform)
    return -float(method.MetricEvaluate(fixed, moving))


def _build_method(headers: SimpleITK.Transform) -> SimpleITK.ImageRegistrationMethod:
    method = SimpleITK.ImageRegistrationMethod()
    # With one thread, the order of summation, and therefore the result, is the same on any number of cores.
    method.SetNumberOfThreads(1)
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMovingInitialTransform(headers)
    method.SetInterpolator(SimpleITK.sitkLinear)
    return method


def _resample(
    moving: SimpleITK.Image, fixed: SimpleITK.Image, transform: SimpleITK.Transform
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    has_signal = SimpleITK.Image(moving.GetSize(), SimpleITK.sitkUInt8) + 1
    has_signal.CopyInformation(moving)
    has_signal = SimpleITK.Resample(has_signal, fixed, transform, SimpleITK.sitkNearestNeighbor, 0.0)
    covered = SimpleITK.GetArrayFromImage(has_signal) > 0
    image = SimpleITK.GetArrayFromImage(SimpleITK.Resample(moving, fixed, transform, SimpleITK.sitkBSpline, 0.0))
    return np.where(covered, np.maximum(image, 0), 0).astype(np.float32), covered
