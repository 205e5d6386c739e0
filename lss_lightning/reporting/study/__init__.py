"""The interactive HTML report of a study: slices with their measurements, and the published thresholds."""

from lss_lightning.reporting.study.report import write_study_report

__all__ = ["write_study_report"]
