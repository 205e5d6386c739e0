"""A study as an interactive page: images with what was measured on them, and what the measures lie below."""

from lss_lightning.reporting.study.report import write_study_report

__all__ = ["write_study_report"]
