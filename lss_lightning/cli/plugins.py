"""The Hydra plugins that this project supports: its own Optuna sweeper, and launchers from other packages."""

from __future__ import annotations

from importlib.util import find_spec

from hydra.core.plugins import Plugins

from lss_lightning.errors import UserError

PLUGIN_EXTRAS = {
    "hydra/sweeper/optuna": "optuna",
    "hydra/launcher/joblib": "cluster",
    "hydra/launcher/submitit_local": "cluster",
    "hydra/launcher/submitit_slurm": "cluster",
}
"""Choices that need a Hydra plugin or another package, with the extra of this package that installs it."""

OPTUNA_SWEEPER = "hydra_plugins.lss_lightning.OptunaSweeper"
"""The name of the sweeper in ``conf/hydra/sweeper/optuna.yaml``. Hydra requires the prefix ``hydra_plugins``."""


def register_sweeper() -> None:
    """Register the Optuna sweeper with Hydra.

    Raises:
        UserError: If Optuna is not installed.
    """
    if find_spec("optuna") is None:
        raise UserError(describe_missing_plugin("hydra/sweeper/optuna"))
    from lss_lightning.sweeps.sweeper import OptunaSweeper

    Plugins.instance().class_name_to_class[OPTUNA_SWEEPER] = OptunaSweeper


def describe_missing_plugin(file: str) -> str:
    """Return the error message for a choice in :data:`PLUGIN_EXTRAS` whose packages are not installed."""
    (group, _, choice), extra = file.rpartition("/"), PLUGIN_EXTRAS[file]
    checkout = f"in a checkout pip install -e '.[{extra}]'"
    return f"{group}={choice}: not installed; run pip install 'lss-lightning[{extra}]', or {checkout}"
