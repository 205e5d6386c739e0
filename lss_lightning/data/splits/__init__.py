"""Which slices train, select and test: a module per protocol, and what the parts of a split have in common."""

from lss_lightning.data.splits.protocol import PARTS, Split, SplitProtocol, shared_patients, slices_left_out
from lss_lightning.data.splits.table import write_split

__all__ = ["PARTS", "Split", "SplitProtocol", "shared_patients", "slices_left_out", "write_split"]
