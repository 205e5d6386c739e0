"""The version of the phantom."""

PHANTOM_VERSION = 5
"""Version of the rendering, which is incremented whenever the same parameters produce different pixels.

It is part of the folder name of a phantom data set, so data sets of earlier versions are not overwritten.
"""
