"""The trial of a search that a training run belongs to, made available to all processes of the run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from lss_lightning.sweeps.search import SearchConfig, is_search

TRIAL_VARIABLE = "LSS_TRIAL"
"""Environment variable with the settings of the search and the number of the trial. Every process that a job starts
inherits it."""


@contextmanager
def expose_trial(hydra: Any) -> Iterator[None]:
    """Expose the trial to the training run in the block, including any processes that the run starts.

    Args:
        hydra: Hydra's configuration of the job, which need not belong to a search.
    """
    if not is_search(hydra.sweeper):
        yield
        return
    os.environ[TRIAL_VARIABLE] = json.dumps(asdict(SearchConfig.from_hydra(hydra)))
    try:
        yield
    finally:
        del os.environ[TRIAL_VARIABLE]


def is_trial() -> bool:
    """Return whether this process belongs to a trial."""
    return TRIAL_VARIABLE in os.environ


class RunningTrial:
    """The trial of this process in the storage of its search.

    Attributes:
        pruner: The name of the pruner.
    """

    def __init__(self) -> None:
        import optuna

        search = SearchConfig(**json.loads(os.environ[TRIAL_VARIABLE]))
        assert search.trial is not None
        study = search.open_study()
        frozen = study.get_trials(deepcopy=False)[search.trial]
        self.pruner = type(study.pruner).__name__
        self._trial = optuna.Trial(study, frozen._trial_id)
        self._reported = set(frozen.intermediate_values)

    def should_stop(self, epoch: int, objective: float) -> bool:
        """Store the objective of an epoch, and return whether the pruner recommends stopping.

        Args:
            epoch: The epoch, counted from 0. If a resumed run repeats an epoch, its first objective is kept.
            objective: The validation objective after the epoch.
        """
        if epoch not in self._reported:
            self._trial.report(objective, epoch)
            self._reported.add(epoch)
        return self._trial.should_prune()
