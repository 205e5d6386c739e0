"""Random changes to training slices, in batches and on the training device; labels move with their images.

What an image gets depends on the run's seed, the epoch and the image's own content, and on nothing else: not on the
batch it stands in, the worker that read it, the rank that trains on it, the device, or a resume.
"""

from lss_lightning.data.augment.config import AugmentationConfig

__all__ = ["AugmentationConfig"]
