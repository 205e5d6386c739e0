"""Division of slices into training, validation and test sets: one module per protocol."""

from lss_lightning.data.splits.protocol import (
    PARTS,
    Split,
    SplitProtocol,
    count_shared_patients,
    count_unassigned_slices,
)
from lss_lightning.data.splits.table import write_split

__all__ = ["PARTS", "Split", "SplitProtocol", "count_shared_patients", "count_unassigned_slices", "write_split"]
