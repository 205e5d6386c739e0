from __future__ import annotations

import pytest

from lss_lightning.config.sections import config_folder
from lss_lightning.config.stored import SEARCH_CLASSES, check_stored_hydra_settings
from lss_lightning.errors import UserError


@pytest.mark.parametrize(
    "setting",
    [
        "hydra/sweeper=optuna",
        "hydra/sweeper/sampler=random",
        "hydra/sweeper/pruner=hyperband",
        "hydra.sweeper.n_trials=50",
        "hydra.sweeper.n_jobs=2",
        "hydra.sweeper.max_failure_rate=0.5",
        "hydra.sweeper.study_name=my-study",
        "hydra.sweeper.sampler.seed=3",
        "+hydra.sweeper.sampler.group=true",
        "++hydra.sweeper.sampler.prior_weight=1.5e-3",
        "~hydra.sweeper.sampler.n_startup_trials",
        "hydra.sweeper.sampler._target_=optuna.samplers.GPSampler",
        "hydra.sweeper.pruner._target_=optuna.pruners.PercentilePruner",
    ],
)
def test_settings_of_a_search_may_be_stored(setting):
    check_stored_hydra_settings([setting], "sweep=x")


@pytest.mark.parametrize(
    "setting",
    [
        "hydra/sweeper/sampler=cmaes",  # unpickles what the database contains
        "hydra/sweeper/sampler=mine",
        "hydra/sweeper/pruner=../../mine",
        "hydra.sweeper._target_=os.system",
        "hydra.sweeper._recursive_=true",
        "hydra.sweeper.storage=sqlite:////tmp/other.db",
        "hydra.sweeper.trial=1",
        "hydra.sweeper.sampler={_target_: os.system, command: x}",
        "hydra.sweeper.sampler._target_=os.system",
        "hydra.sweeper.sampler._target_=optuna.samplers.CmaEsSampler",
        "hydra.sweeper.sampler._target_=optuna.pruners.MedianPruner",
        "hydra.sweeper.sampler._target_=optunaXsamplers.GPSampler",
        "+hydra.sweeper.sampler.independent_sampler._target_=os.system",
        "+hydra.sweeper.sampler.gamma={_target_: os.system}",
        "hydra.sweeper.study_name=${oc.env:HOME}",
    ],
)
def test_a_stored_search_names_no_code_and_no_database(setting):
    with pytest.raises(UserError, match="can run code; if you trust it, give it again on the"):
        check_stored_hydra_settings([setting], "sweep=x")


@pytest.mark.parametrize("part", ["sampler", "pruner"])
def test_the_shipped_samplers_and_pruners_may_be_stored_unless_they_unpickle(part):
    for path in (config_folder() / "hydra" / "sweeper" / part).glob("*.yaml"):
        [target] = [line.split()[1] for line in path.read_text().splitlines() if line.startswith("_target_:")]
        is_trusted = target in SEARCH_CLASSES[part]
        assert is_trusted == (path.stem != "cmaes")
        if is_trusted:
            check_stored_hydra_settings([f"hydra/sweeper/{part}={path.stem}"], "sweep=x")
