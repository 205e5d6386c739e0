"""Tables and figures that compare several runs, as in the paper."""

from lss_lightning.reporting.comparison.differences import (
    list_difference_notes,
    make_difference_table,
    write_differences,
)
from lss_lightning.reporting.comparison.figure12 import TrainingCurves, plot_figure12
from lss_lightning.reporting.comparison.figure13 import SegmentedExample, plot_figure13
from lss_lightning.reporting.comparison.protocols import (
    ModelScores,
    ProtocolEffect,
    make_ceiling_table,
    make_effect_table,
    make_protocol_table,
    plot_protocols,
    write_effects,
)
from lss_lightning.reporting.comparison.run_result import RunResult
from lss_lightning.reporting.comparison.tables import (
    make_cost_table,
    make_runs_table,
    make_table1,
    make_table2,
    make_table3,
    write_table_csv,
)

__all__ = [
    "ModelScores",
    "ProtocolEffect",
    "RunResult",
    "SegmentedExample",
    "TrainingCurves",
    "list_difference_notes",
    "make_ceiling_table",
    "make_cost_table",
    "make_difference_table",
    "make_effect_table",
    "make_protocol_table",
    "make_runs_table",
    "make_table1",
    "make_table2",
    "make_table3",
    "plot_figure12",
    "plot_figure13",
    "plot_protocols",
    "write_differences",
    "write_effects",
    "write_table_csv",
]
