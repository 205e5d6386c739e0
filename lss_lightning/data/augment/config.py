"""The ``augmentation`` section: ranges and probabilities of augmentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, NonNegativeFloat

from lss_lightning.errors import UserError

FOLDING_LIMIT = 0.488
"""Displacement, as a fraction of the control points' spacing, above which a cubic B-spline may fold the image.

1 / 2.046: Choi & Lee, Graphical Models 62(6), 2000, in two dimensions.
"""


Fraction = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class AugmentationConfig:
    """Ranges and probabilities of augmentation. If all are 0, images are unchanged; lengths are in mm.

    Attributes:
        rotation: Maximum angle in degrees, in both directions.
        scale: Range of the scale factor. 0.1 scales by a factor between 1 / 1.1 and 1.1, log-uniformly.
        translation: Maximum shift along each axis.
        elastic: Maximum displacement of the control points of a cubic B-spline along each axis.
        elastic_spacing: Distance between neighbouring control points.
        warp_probability: Probability that an image is rotated, scaled, shifted and bent.
        flip: Probability that an image is mirrored left to right. No class is specific to one side.
        misregistration: Maximum shift of T2 relative to T1 along each axis, for images that have both.
        bias_field: Maximum deviation from 1 of a smooth multiplicative field, such as that of a receive coil.
        blur: Maximum standard deviation of a Gaussian blur.
        noise: Maximum standard deviation of Gaussian noise, as a fraction of the grey range.
        gamma: Range of the exponent. 0.3 raises grey values (0 to 1) to a power between 1 / 1.3 and 1.3.
        intensity_probability: Probability of applying the bias field, blur, noise and gamma, each independently for
            each channel.
        channel_dropout: Probability that one channel is set to 0. The only channel of an image is never dropped.
    """

    rotation: Annotated[float, Field(ge=0, le=180)] = 0.0
    scale: Fraction = 0.0
    translation: Annotated[float, Field(ge=0, le=100)] = 0.0
    elastic: NonNegativeFloat = 0.0
    elastic_spacing: Annotated[float, Field(ge=4)] = 40.0
    warp_probability: Fraction = 1.0
    flip: Fraction = 0.0
    misregistration: Annotated[float, Field(ge=0, le=20)] = 0.0
    bias_field: Annotated[float, Field(ge=0, lt=1)] = 0.0
    blur: Annotated[float, Field(ge=0, le=10)] = 0.0
    noise: Fraction = 0.0
    gamma: Annotated[float, Field(ge=0, le=4)] = 0.0
    intensity_probability: Fraction = 1.0
    channel_dropout: Fraction = 0.0

    def __post_init__(self) -> None:
        limit = FOLDING_LIMIT * self.elastic_spacing
        if self.elastic > limit:
            raise UserError(
                f"augmentation.elastic={self.elastic}: with augmentation.elastic_spacing={self.elastic_spacing} more "
                f"than {limit:.3g} mm may fold the image; lower the former or raise the latter"
            )

    @property
    def changes_geometry(self) -> bool:
        """Whether images and labels may be rotated, scaled, shifted or bent."""
        ranges = (self.rotation, self.scale, self.translation, self.elastic)
        return self.warp_probability > 0 and any(ranges)

    @property
    def changes_intensity(self) -> bool:
        """Whether grey values may change other than by the geometric transform."""
        ranges = (self.bias_field, self.blur, self.noise, self.gamma)
        return self.channel_dropout > 0 or (self.intensity_probability > 0 and any(ranges))
