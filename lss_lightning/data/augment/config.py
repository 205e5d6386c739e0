"""How strongly training slices are augmented: the ``augmentation`` section."""

from __future__ import annotations

from dataclasses import dataclass

from lss_lightning.config.validation import setting
from lss_lightning.errors import UserError

FOLDING = 0.488
"""Share of the control points' spacing from which a cubic B-spline displacement may fold the image.

1 / 2.046: Choi & Lee, Graphical Models 62(6), 2000, in two dimensions.
"""


@dataclass(frozen=True)
class AugmentationConfig:
    """Ranges and probabilities; all 0 leaves every image as it is. Lengths are in mm.

    Attributes:
        rotation: Greatest angle, degrees, either way.
        scale: 0.1 sizes an image by a factor between 1 / 1.1 and 1.1, as likely smaller as larger.
        translation: Greatest shift along each axis.
        elastic: Greatest displacement along each axis of the control points of a cubic B-spline.
        elastic_spacing: From one control point to the next.
        warp_probability: That an image is rotated, scaled, shifted and bent at all.
        flip: Probability of mirroring left and right; no class has a side.
        misregistration: Greatest shift of T2 against T1 along each axis; only where an image has both.
        bias_field: Greatest deviation from 1 of a smooth factor such as a receive coil's.
        blur: Greatest standard deviation of a Gaussian blur.
        noise: Greatest standard deviation of Gaussian noise, as a share of the grey range.
        gamma: 0.3 raises grey values (0 to 1) to a power between 1 / 1.3 and 1.3.
        intensity_probability: That a channel gets a bias field; likewise blur, noise and gamma, each on its own.
        channel_dropout: Probability that one channel is blanked; an image of a single channel keeps it.
    """

    rotation: float = setting(0.0, at_least=0, at_most=180)
    scale: float = setting(0.0, at_least=0, at_most=1)
    translation: float = setting(0.0, at_least=0, at_most=100)
    elastic: float = setting(0.0, at_least=0)
    elastic_spacing: float = setting(40.0, at_least=4)
    warp_probability: float = setting(1.0, at_least=0, at_most=1)
    flip: float = setting(0.0, at_least=0, at_most=1)
    misregistration: float = setting(0.0, at_least=0, at_most=20)
    bias_field: float = setting(0.0, at_least=0, below=1)
    blur: float = setting(0.0, at_least=0, at_most=10)
    noise: float = setting(0.0, at_least=0, at_most=1)
    gamma: float = setting(0.0, at_least=0, at_most=4)
    intensity_probability: float = setting(1.0, at_least=0, at_most=1)
    channel_dropout: float = setting(0.0, at_least=0, at_most=1)

    def __post_init__(self) -> None:
        most = FOLDING * self.elastic_spacing
        if self.elastic > most:
            raise UserError(
                f"augmentation.elastic={self.elastic}: with augmentation.elastic_spacing={self.elastic_spacing} more "
                f"than {most:.3g} mm may fold the image; lower the one or raise the other"
            )

    @property
    def warps(self) -> bool:
        """Whether image and label may be rotated, scaled, shifted or bent."""
        ranges = (self.rotation, self.scale, self.translation, self.elastic)
        return self.warp_probability > 0 and any(ranges)

    @property
    def shades(self) -> bool:
        """Whether grey values may change, beyond moving with the image."""
        ranges = (self.bias_field, self.blur, self.noise, self.gamma)
        return self.channel_dropout > 0 or (self.intensity_probability > 0 and any(ranges))
