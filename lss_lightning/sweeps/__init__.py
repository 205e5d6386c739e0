"""Many runs by one command: one folder, a record of each job, and what is needed to take them up again.

Nothing here imports torch: all of it runs before the first job, or around each.
"""

from lss_lightning.sweeps.folder import begin, refuse_objectiveless, resumed_sweep, sweep_of
from lss_lightning.sweeps.jobs import JobProcessError, run_job, settled

__all__ = [
    "JobProcessError",
    "begin",
    "refuse_objectiveless",
    "resumed_sweep",
    "run_job",
    "settled",
    "sweep_of",
]
