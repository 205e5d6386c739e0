"""A virtual scanner that renders lumbar slices with known anatomy, for trying out everything without a download.

Results on the phantom verify the software and the geometry, never clinical performance.
"""

from lss_lightning.phantom.layout import write_phantom
from lss_lightning.phantom.render import RenderedSlice, render_slice

__all__ = ["RenderedSlice", "render_slice", "write_phantom"]
