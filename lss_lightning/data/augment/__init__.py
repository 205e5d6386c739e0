"""Random augmentation of training slices, in batches on the training device; labels move with their images.

The augmentation of an image depends only on the run's seed, the epoch and the image's content. It does not depend on
the batch, the worker that read the image, the rank, the device, or on resuming.
"""

from lss_lightning.data.augment.config import AugmentationConfig

__all__ = ["AugmentationConfig"]
