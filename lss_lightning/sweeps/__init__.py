"""Many runs by one command: one folder, a record of each job, and what is needed to take them up again.

Nothing here imports torch: all of it runs before the first job, or around each.
"""

from lss_lightning.sweeps.folder import begin, refuse_objectiveless, resumed_sweep, sweep_of
from lss_lightning.sweeps.jobs import JobProcessError, record_outcome, run_job

__all__ = [
    "JobProcessError",
    "begin",
    "record_outcome",
    "refuse_objectiveless",
    "resumed_sweep",
    "run_job",
    "sweep_of",
]
