"""Lightning loggers that, unlike Lightning's own, log slices, tables, figures and the report, and resume runs."""

from __future__ import annotations

from lss_lightning.reporting.loggers.capabilities import (
    DescribesRun,
    EndsRun,
    LogsExamples,
    LogsPastEpochs,
    LogsResult,
)
from lss_lightning.reporting.loggers.content import LoggedResult, SliceRow, read_result
from lss_lightning.reporting.loggers.create import make_loggers
from lss_lightning.reporting.loggers.description import RunDescription, flatten_settings

__all__ = [
    "DescribesRun",
    "EndsRun",
    "LoggedResult",
    "LogsExamples",
    "LogsPastEpochs",
    "LogsResult",
    "RunDescription",
    "SliceRow",
    "flatten_settings",
    "make_loggers",
    "read_result",
]
