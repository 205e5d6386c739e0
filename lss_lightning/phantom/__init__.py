"""A virtual scanner: lumbar slices with known anatomy, for trying everything out without a download.

Phantom figures prove plumbing and geometry, never clinical performance.
"""

from lss_lightning.phantom.layout import write_phantom
from lss_lightning.phantom.render import RenderedSlice, render_slice

__all__ = ["RenderedSlice", "render_slice", "write_phantom"]
