"""Hydra's sweeper for ``hydra/sweeper=optuna``: a search with Optuna whose trials are the jobs of a sweep."""

from __future__ import annotations

import sys
from collections import deque
from pathlib import Path
from typing import Any

import optuna
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from optuna.trial import FrozenTrial, Trial, TrialState

from lss_lightning.errors import UserError
from lss_lightning.runs.layout import RunFolder
from lss_lightning.sweeps.job_records import PRUNED, read_objective, read_record
from lss_lightning.sweeps.search import SearchConfig
from lss_lightning.sweeps.space import SearchSpace, parse_search_space

JOB, SWEEP = "job", "sweep"
"""User attributes of a trial: the name of its job's directory, and the name of the sweep's directory."""


class OptunaSweeper(Sweeper):
    """Hydra sweeper that runs the trials of a search as the jobs of a sweep.

    The name of a job's directory is the number of its trial. A resumed search first finishes stopped trials in their
    directories, and repeats failed trials in their directories as new trials with the same values. The search then
    continues until it has ``n_trials`` jobs.

    Args:
        settings: The section ``hydra.sweeper``, which is ignored here and read from the configuration of the sweep.
    """

    def __init__(self, **settings: Any) -> None:
        self.config: DictConfig | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Create the launcher. Hydra calls this method before :meth:`sweep`."""
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the search until all trials have ended, the sampler is exhausted, or too many trials fail.

        Args:
            arguments: The overrides on the command line, without Hydra's own settings.

        Raises:
            UserError: If another process is running the search, its storage cannot be opened, or Optuna cannot sample
                its settings.
        """
        assert self.config is not None
        search = SearchConfig.from_hydra(self.config.hydra)
        space = parse_search_space(self.config.hydra.sweeper.params or {}, arguments)
        with RunFolder(Path(search.folder)).locked():
            study = search.open_study()
            jobs = _find_jobs(study, search)
            open_trials = deque(
                trial for trial in jobs.values() if trial.state in (TrialState.RUNNING, TrialState.FAIL)
            )
            new = search.n_trials - len(jobs)
            while open_trials or new > 0:
                batch = [_reopen(study, open_trials.popleft(), space) for _ in range(search.n_jobs) if open_trials]
                fresh = max(0, min(search.n_jobs - len(batch), new))
                batch += [_ask(study, search, space) for _ in range(fresh)]
                new -= fresh
                failures = 0
                for trial, job in zip(batch, self._launch(batch, space), strict=True):
                    state, is_last = _tell(study, trial, job)
                    failures += state is TrialState.FAIL
                    new = 0 if is_last else new
                if failures > search.max_failure_rate * len(batch):
                    print(
                        f"error: {failures} of {len(batch)} trials failed, more than hydra.sweeper.max_failure_rate="
                        f"{search.max_failure_rate:g} allows; the search has stopped",
                        file=sys.stderr,
                    )
                    return

    def _launch(self, batch: list[Trial], space: SearchSpace) -> list[JobReturn]:
        overrides = [
            [
                *space.format_overrides(trial.params),
                f"hydra.sweeper.trial={trial.number}",
                f"hydra.sweep.subdir={trial.user_attrs[JOB]}",
            ]
            for trial in batch
        ]
        assert self.launcher is not None
        return list(self.launcher.launch(overrides, initial_job_idx=batch[0].number))


def _find_jobs(study: optuna.Study, search: SearchConfig) -> dict[str, FrozenTrial]:
    """Return the last trial of each job of this sweep. The study may also contain trials of other sweeps."""
    return {
        trial.user_attrs[JOB]: trial
        for trial in study.get_trials(deepcopy=False)
        if JOB in trial.user_attrs and trial.user_attrs.get(SWEEP) == _sweep_attribute(search)
    }


def _sweep_attribute(search: SearchConfig) -> str | None:
    """Return the attribute that identifies a sweep's trials, or None if the sweep directory contains the database."""
    return None if search.storage is None else Path(search.folder).name


def _ask(study: optuna.Study, search: SearchConfig, space: SearchSpace) -> Trial:
    """Sample a new trial."""
    study.sampler = search.make_sampler(len(study.get_trials(deepcopy=False)))
    try:
        trial = study.ask(dict(space.distributions))
    except ValueError as error:
        raise UserError(
            f"hydra.sweeper: Optuna cannot sample these settings ({error}); change hydra/sweeper/sampler, the search "
            "space or hydra.sweeper.study_name"
        ) from error
    trial.set_user_attr(SWEEP, _sweep_attribute(search))
    trial.set_user_attr(JOB, str(trial.number))
    return trial


def _reopen(study: optuna.Study, trial: FrozenTrial, space: SearchSpace) -> Trial:
    """Continue a stopped trial, or repeat a failed trial with the same values and the objectives it has reported."""
    if trial.state is TrialState.RUNNING:
        return Trial(study, trial._trial_id)
    study.enqueue_trial(trial.params, user_attrs={SWEEP: trial.user_attrs[SWEEP], JOB: trial.user_attrs[JOB]})
    repeated = study.ask(dict(space.distributions))
    for epoch, objective in trial.intermediate_values.items():
        repeated.report(objective, epoch)
    return repeated


def _tell(study: optuna.Study, trial: Trial, job: JobReturn) -> tuple[TrialState, bool]:
    """Store the outcome of a trial.

    Returns:
        The state of the trial, and whether the sampler is exhausted.
    """
    _ = job.return_value  # raises any exception of the launcher
    assert job.hydra_cfg is not None
    folder = Path(job.hydra_cfg.hydra.runtime.output_dir)
    record = read_record(folder)
    assert record is not None
    objective = read_objective(folder, record)
    if record.reason is not None:
        trial.set_user_attr("reason", record.reason)
    if record.state == PRUNED:
        state = TrialState.PRUNED
    else:
        state = TrialState.FAIL if objective is None else TrialState.COMPLETE
    try:
        study.tell(trial, objective, state)
    except RuntimeError as error:  # when a sampler is exhausted, Optuna supports stopping only in its own loop
        if "Study.stop" not in str(error):
            raise
        return state, True
    return state, False
