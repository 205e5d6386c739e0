"""Which phantom this is."""

VERSION = 5
"""Raised whenever the same parameters give other pixels; it names the sets' folders, so that older ones stay."""
