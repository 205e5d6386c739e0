"""The directory of a sweep, which all its jobs share and which is identified by its ``sweep.yaml``."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from lss_lightning.config.overrides import find_override, get_task_overrides, is_overridden, quote_path
from lss_lightning.config.stored import check_stored_hydra_settings, check_stored_overrides
from lss_lightning.errors import UserError
from lss_lightning.runs.layout import RunFolder, create_folder, unwritable_folder_error
from lss_lightning.sweeps.launcher import MULTIRUN_FLAGS

SWEEP_FILE = "sweep.yaml"
"""The file in a sweep directory that stores the command line of the sweep."""

MIXED_NAME = "sweep"
"""The name of a sweep whose jobs have different names."""


def expand_sweep_argument(arguments: Sequence[str]) -> list[str]:
    """Return Hydra's arguments for a command line that may resume a sweep.

    ``sweep=<folder>`` is replaced by the arguments with which that sweep was started. The working directory is changed
    to the one in which the sweep was started, if it still exists, because settings may contain relative paths. Only
    Hydra's own settings, such as the launcher, may be changed. Other command lines are returned unchanged.

    Args:
        arguments: Overrides and flags of ``train.py``.

    Raises:
        UserError: If the directory contains no sweep, its stored settings are not allowed, or further settings are
            given.
    """
    name = find_override("sweep", arguments)
    if name is None:
        return list(arguments)
    folder = Path(name).expanduser().absolute()
    if not (folder / SWEEP_FILE).is_file():
        raise UserError(
            f"sweep={name}: not a sweep directory; give one that contains {SWEEP_FILE}, such as logs/train/…/<time>"
        )
    changes = [text for text in arguments if not text.startswith("sweep=") and text not in MULTIRUN_FLAGS]
    for text in changes:
        if not text.lstrip("+~").startswith(("hydra.", "hydra/", "-")):
            raise UserError(f"{text}: a resumed sweep keeps its settings; remove this one, or start a new sweep")
        if text.startswith("hydra.sweep.dir="):
            raise UserError(f"{text}: a sweep is resumed in its own directory, {name}; remove this setting")
    stored = _load_sweep_file(folder)
    replaced = {*map(_override_key, changes), "hydra.sweep.dir", "hydra.mode"}
    kept = [text for text in stored["hydra"] if _override_key(text) not in replaced]
    check_stored_hydra_settings(kept, f"sweep={name}")
    check_stored_overrides(stored["task"], f"sweep={name}")
    for flag in stored["flags"]:
        if not flag.startswith("--config-dir="):
            raise UserError(f"sweep={name}: {SWEEP_FILE} holds the flag {flag}, which no sweep stores; remove it")
        if flag not in changes:
            raise UserError(
                f"sweep={name}: started with {flag}, whose files can run code; if you trust them, add this flag"
            )
    origin = Path(stored.get("cwd", "."))
    if origin.is_dir() and origin.absolute() != Path.cwd():
        print(f"sweep={name}: continues in {origin}, where it was started")
        os.chdir(origin)
    return ["-m", *kept, *changes, f"hydra.sweep.dir={quote_path(folder)}", *stored["task"]]


def begin_sweep(config: DictConfig, names: Collection[str]) -> Path:
    """Create the directory of a sweep, or find that of a resumed sweep, before Hydra starts the first job.

    Args:
        config: The configuration that Hydra composed for the whole sweep. Its sweep directory is set in place.
        names: The names of the jobs.

    Returns:
        The directory.

    Raises:
        UserError: If the directory contains another sweep or cannot be written.
    """
    name = next(iter(names)) if len(names) == 1 else MIXED_NAME
    with open_dict(config):
        config.name = name
    folder = Path(config.hydra.sweep.dir).absolute()
    identity = _describe_sweep(config)
    if not is_overridden("hydra.sweep.dir", config.hydra):
        folder = create_folder(folder)
    is_resumed = (folder / SWEEP_FILE).is_file()
    if is_resumed:
        _check_same_sweep(folder, _load_sweep_file(folder), identity)
    elif folder.is_dir() and any(RunFolder(path).hydra.is_dir() for path in folder.iterdir()):
        raise UserError(f"{folder}: holds other runs, which are never overwritten; choose another hydra.sweep.dir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not is_resumed:
            OmegaConf.save(OmegaConf.create(identity), folder / SWEEP_FILE)
    except OSError as error:
        raise unwritable_folder_error(error) from error
    with open_dict(config):
        # Each job composes its own configuration. Without these overrides, it would create a directory for its own name
        # and time, and overwrite the stored configurations of jobs that are not run again.
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quote_path(folder)}")
        if is_resumed:
            config.hydra.overrides.hydra.append("hydra.output_subdir=null")
    return folder


def store_configuration(config: DictConfig, hydra: Any) -> None:
    """Store the configuration of a job in Hydra's format, unless it is already stored.

    Hydra itself does not store the configuration of jobs that first start when a sweep is resumed.

    Args:
        config: The configuration of the job.
        hydra: Hydra's own configuration of the job.
    """
    run = RunFolder(Path(hydra.runtime.output_dir))
    if run.configuration.is_file():
        return
    run.hydra.mkdir()
    OmegaConf.save(config, run.configuration)
    OmegaConf.save(OmegaConf.create({"hydra": hydra}), run.hydra_configuration)
    OmegaConf.save(hydra.overrides.task, run.overrides)


def find_sweep_folder(run: Path) -> Path | None:
    """Return the directory of the sweep that a run directory belongs to, or None for a single run."""
    return next((folder for folder in run.absolute().parents if (folder / SWEEP_FILE).is_file()), None)


def find_sweep_name(run: Path) -> str | None:
    """Return the name of the sweep that a run directory belongs to, ``<name>/<time>``, or None for a single run."""
    sweep = find_sweep_folder(run)
    return None if sweep is None else f"{sweep.parent.name}/{sweep.name}"


def read_sweep_flags(folder: Path) -> list[str]:
    """Return the flags of a sweep's command line, which name the directories of the user's own configuration files."""
    stored = _load_sweep_file(folder) if (folder / SWEEP_FILE).is_file() else {}
    return [str(flag) for flag in stored.get("flags", [])]


def _load_sweep_file(folder: Path) -> Any:
    return OmegaConf.to_container(OmegaConf.load(folder / SWEEP_FILE))


def _describe_sweep(config: DictConfig) -> dict[str, Any]:
    """Return the content of ``sweep.yaml``: the overrides that identify a sweep, and the rest of its command line."""
    sources = config.hydra.runtime.config_sources
    content: dict[str, Any] = {
        "task": get_task_overrides(config.hydra),
        "params": OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({})),
        "hydra": OmegaConf.to_container(config.hydra.overrides.hydra),
        "cwd": str(Path.cwd()),
        "flags": [f"--config-dir={source.path}" for source in sources if source.provider == "command-line"],
    }
    return content


def _check_same_sweep(folder: Path, stored: dict[str, Any], identity: dict[str, Any]) -> None:
    here, origin = identity["cwd"], stored.get("cwd", identity["cwd"])
    if here != origin and Path(origin).is_dir():
        raise UserError(
            f"{folder}: a sweep that was started in {origin}, to which its relative paths refer; resume it there, or "
            f"with python train.py sweep={folder}"
        )
    if any(stored[part] != identity[part] for part in ("task", "params")):
        params = [f"{key}={value}" for key, value in stored["params"].items()]
        raise UserError(
            f"{folder}: holds another sweep, {' '.join([*stored['task'], *params])}; resume that one with "
            f"python train.py sweep={folder}, or choose another hydra.sweep.dir"
        )


def _override_key(text: str) -> str:
    return text.lstrip("+~").partition("=")[0]
