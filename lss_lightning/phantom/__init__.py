"""A virtual MR scanner that renders lumbar slices with known anatomy, so that no data need be downloaded.

Results on the phantom verify the software and its geometry, not clinical performance.
"""

from lss_lightning.phantom.layout import write_phantom
from lss_lightning.phantom.render import RenderedSlice, render_slice

__all__ = ["RenderedSlice", "render_slice", "write_phantom"]
