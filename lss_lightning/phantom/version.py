"""The version of the phantom."""

PHANTOM_VERSION = 5
"""Version of the pixels: it is raised whenever the same parameters give different pixels.

It is part of the folder names of phantom data sets, so sets of earlier versions are kept.
"""
