"""Several runs side by side: the paper's tables and figures with ours in them."""

from lss_lightning.reporting.comparison.curves import Curves, plot_figure12
from lss_lightning.reporting.comparison.differences import difference_notes, difference_table, write_differences
from lss_lightning.reporting.comparison.protocols import (
    Effect,
    ModelScores,
    ceiling_table,
    effect_table,
    plot_protocols,
    protocol_table,
    write_effects,
)
from lss_lightning.reporting.comparison.result import RunResult
from lss_lightning.reporting.comparison.segmented import SegmentedExample, plot_figure13
from lss_lightning.reporting.comparison.tables import (
    cost_table,
    runs_table,
    table1,
    table2,
    table3,
    write_csv,
)

__all__ = [
    "Curves",
    "Effect",
    "ModelScores",
    "RunResult",
    "SegmentedExample",
    "ceiling_table",
    "cost_table",
    "difference_notes",
    "difference_table",
    "effect_table",
    "plot_figure12",
    "plot_figure13",
    "plot_protocols",
    "protocol_table",
    "runs_table",
    "table1",
    "table2",
    "table3",
    "write_csv",
    "write_differences",
    "write_effects",
]
