"""Training and evaluation from Python, with the configuration and the workflows of the command line."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict

from lss_lightning.cli.check import COMMANDS
from lss_lightning.cli.hydra_compat import move_flags_first, translate_errors
from lss_lightning.cli.resume import RESUMED_CONFIG, expand_checkpoint_argument
from lss_lightning.config.overrides import expand_shorthands, find_override, quote_path, take_trust
from lss_lightning.config.sections import config_folder
from lss_lightning.errors import UserError
from lss_lightning.runs.layout import RunFolder, create_folder
from lss_lightning.runs.trust import trust_classes
from lss_lightning.sweeps import record_outcome
from lss_lightning.sweeps.folder import store_configuration
from lss_lightning.sweeps.process import run_process, starts_processes


def train(overrides: Iterable[str] = ()) -> RunFolder:
    """Train a network, test its best checkpoint and write the report, as ``train.py`` does.

    With several devices, the run is a separate process, because Lightning starts the further processes of a run with
    the command line of its first process.

    Args:
        overrides: Settings as on the command line, e.g. ``["model=vgg16_unet", "trainer.max_epochs=20"]``. With
            ``ckpt_path=…``, the run that wrote the checkpoint is resumed.

    Returns:
        The run directory.

    Raises:
        UserError: If a setting, the data or the device cannot be used, or if the overrides describe a sweep.
    """
    return RunFolder(run_command("train", overrides))


def evaluate(
    ckpt_path: str | PathLike[str] | Sequence[str | PathLike[str]], overrides: Iterable[str] = ()
) -> RunFolder:
    """Test checkpoints on data that they were not trained on, as ``evaluate.py`` does.

    Args:
        ckpt_path: A checkpoint, run directory or sweep directory. Several of them are tested as an ensemble.
        overrides: Further settings as on the command line, e.g. ``["tta=flip", "subset=val"]``.

    Returns:
        The run directory of the evaluation. Call :meth:`~lss_lightning.runs.layout.RunFolder.load_metrics` on it to
        read the scores.

    Raises:
        UserError: If a setting, a checkpoint, the data or the device cannot be used.
    """
    return RunFolder(run_command("evaluate", [format_checkpoints(ckpt_path), *overrides]))


def format_checkpoints(ckpt_path: str | PathLike[str] | Sequence[str | PathLike[str]]) -> str:
    """Return the override of ``ckpt_path`` for one or more checkpoints."""
    paths = [ckpt_path] if isinstance(ckpt_path, str | PathLike) else ckpt_path
    return f"ckpt_path=[{','.join(quote_path(Path(path)) for path in paths)}]"


def check_command(command: str, overrides: Iterable[str]) -> tuple[Any, DictConfig, list[str]]:
    """Compose and check the configuration of a command.

    Args:
        command: A key of :data:`~lss_lightning.cli.check.COMMANDS`.
        overrides: Settings as on the command line.

    Returns:
        The checked configuration, the composed configuration including Hydra's own section, and the overrides with
        shorthands expanded.

    Raises:
        UserError: If a setting is not allowed, or the overrides contain a flag.
    """
    given, trusted = take_trust(expand_shorthands(command, list(overrides)))
    if flags := [text for text in given if text.startswith("-")] or [
        text for text in given if text.startswith("sweep=")
    ]:
        raise UserError(
            f"{flags[0]}: only settings can be given to a function; use the command line for sweeps and flags"
        )
    trust_classes(trusted)
    arguments = expand_checkpoint_argument(given) if command == "train" else given
    name = RESUMED_CONFIG if f"--config-name={RESUMED_CONFIG}" in arguments else command
    settings = [text for text in move_flags_first(arguments) if not text.startswith("--")]
    GlobalHydra.instance().clear()
    with translate_errors(command, given), initialize_config_dir(str(config_folder()), version_base="1.3"):
        cfg = compose(name, overrides=settings, return_hydra_config=True)
        plain = cfg.copy()
        with open_dict(plain):
            hydra_cfg = plain.pop("hydra")
        return COMMANDS[command](plain, hydra_cfg), cfg, given


def run_command(command: str, overrides: Iterable[str]) -> Path:
    """Run a command in this process, or in separate processes if it uses several devices.

    Args:
        command: A key of :data:`~lss_lightning.cli.check.COMMANDS`.
        overrides: Settings as on the command line.

    Returns:
        The run directory.

    Raises:
        UserError: If the command cannot be run with these settings.
    """
    config, cfg, given = check_command(command, overrides)
    is_resumed = find_override("ckpt_path", given) is not None and command == "train"
    folder = Path(cfg.hydra.run.dir).absolute()
    if not is_resumed:
        folder = create_folder(folder) if find_override("hydra.run.dir", given) is None else folder
        folder.mkdir(parents=True, exist_ok=True)
    if starts_processes(config.trainer):
        place = [] if is_resumed else [f"hydra.run.dir={quote_path(folder)}"]
        if code := run_process([command, *given, *place], Path.cwd()):
            raise UserError(
                f"{command} with {' '.join(given)}: ended with exit code {code}; its messages give the reason"
            )
        return folder
    with open_dict(cfg):
        cfg.hydra.runtime.output_dir = str(folder)
    HydraConfig.instance().set_config(cfg)
    if not is_resumed:
        plain = cfg.copy()
        with open_dict(plain):
            hydra_cfg = plain.pop("hydra")
        store_configuration(plain, hydra_cfg)
    with record_outcome(folder):
        importlib.import_module(f"lss_lightning.workflows.{command}").run(config, folder)
    return folder
