"""Random augmentation of training slices, in batches on the training device; labels are warped with their images.

The augmentation of an image depends only on the run's seed, the epoch and the image's content. It does not depend on
the batch, the worker that reads the image, the rank or the device, or on whether the run was resumed.
"""

from lss_lightning.data.augment.config import AugmentationConfig

__all__ = ["AugmentationConfig"]
