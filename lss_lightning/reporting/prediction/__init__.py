"""What ``predict.py`` leaves of a study: measurements as tables, label maps, pictures, DICOM objects and the report."""

from lss_lightning.reporting.prediction.study_folder import write_study
from lss_lightning.reporting.prediction.terminal import print_study

__all__ = ["print_study", "write_study"]
