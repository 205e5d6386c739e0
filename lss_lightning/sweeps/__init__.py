"""Sweeps: many runs from one command, in one directory, with a record of each job and everything needed to resume.

No module in this package imports torch at import time, because its code runs before the first job or between two jobs.
"""

from lss_lightning.sweeps.folder import begin_sweep, expand_sweep_argument, find_sweep_name
from lss_lightning.sweeps.jobs import JobProcessError, record_outcome, run_job
from lss_lightning.sweeps.search import check_search, is_search

__all__ = [
    "JobProcessError",
    "begin_sweep",
    "check_search",
    "expand_sweep_argument",
    "find_sweep_name",
    "is_search",
    "record_outcome",
    "run_job",
]
