"""Outputs of ``predict.py`` for a study: tables, label maps, overlays, DICOM objects and the HTML report."""

from lss_lightning.reporting.prediction.study_folder import write_study_results
from lss_lightning.reporting.prediction.terminal import print_study

__all__ = ["print_study", "write_study_results"]
