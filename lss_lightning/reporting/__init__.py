"""Tables, figures and HTML reports of results, created from dictionaries and arrays independently of training."""

from lss_lightning.reporting.boundary import plot_boundary
from lss_lightning.reporting.calipers import plot_calipers
from lss_lightning.reporting.confusion import plot_confusion
from lss_lightning.reporting.curves import plot_curves
from lss_lightning.reporting.examples import Case, plot_examples
from lss_lightning.reporting.folds import plot_folds, print_folds, write_folds
from lss_lightning.reporting.patients import plot_patients
from lss_lightning.reporting.per_image import write_per_image
from lss_lightning.reporting.reliability import plot_reliability
from lss_lightning.reporting.scores import write_scores
from lss_lightning.reporting.structure_size import plot_structure_sizes
from lss_lightning.reporting.tables import print_table, write_table2

__all__ = [
    "Case",
    "plot_boundary",
    "plot_calipers",
    "plot_confusion",
    "plot_curves",
    "plot_examples",
    "plot_folds",
    "plot_patients",
    "plot_reliability",
    "plot_structure_sizes",
    "print_folds",
    "print_table",
    "write_folds",
    "write_per_image",
    "write_scores",
    "write_table2",
]
