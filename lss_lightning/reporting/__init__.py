"""Results as tables and figures. Stands on dictionaries and arrays, never on training."""

from lss_lightning.reporting.confusion import plot_confusion
from lss_lightning.reporting.curves import plot_curves
from lss_lightning.reporting.examples import Case, plot_examples
from lss_lightning.reporting.tables import print_table, write_table2

__all__ = ["Case", "plot_confusion", "plot_curves", "plot_examples", "print_table", "write_table2"]
