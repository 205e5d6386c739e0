"""A sweep's folder: one for all its jobs, known again by `sweep.yaml`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from lss_lightning.config.overrides import given_overrides, given_value, is_given, quoted
from lss_lightning.errors import UserError
from lss_lightning.runs.layout import new_folder, unwritable
from lss_lightning.sweeps.jobs import ended, job_folders, read_record, round_and_number

SWEEP = "sweep.yaml"
MIXED = "sweep"
"""Name of a sweep whose jobs have several names."""

SWEEPING = ("-m", "--multirun")


def resumed_sweep(arguments: Sequence[str]) -> list[str]:
    """Hydra's arguments for a command line that may name a sweep to take up again.

    With ``sweep=<folder>`` they are those that the sweep was started with; only Hydra's own settings, such as the
    launcher, may be changed.

    Args:
        arguments: Overrides and flags of ``train.py``.

    Raises:
        UserError: no such sweep, or other settings beside it.
    """
    given = given_value("sweep", arguments)
    if given is None:
        return list(arguments)
    folder = Path(given).expanduser().absolute()
    if not (folder / SWEEP).is_file():
        raise UserError(f"sweep={given}: no sweep's folder; give one that holds {SWEEP}, such as logs/train/…/<time>")
    others = [text for text in arguments if not text.startswith("sweep=") and text not in SWEEPING]
    for text in others:
        if not text.lstrip("+~").startswith(("hydra.", "hydra/", "-")):
            raise UserError(
                f"{text}: a sweep that is taken up again keeps its settings; leave it out, or start a new sweep"
            )
        if text.startswith("hydra.sweep.dir="):
            raise UserError(f"{text}: a sweep goes on in its own folder, {given}; leave it out")
    stored: Any = OmegaConf.to_container(OmegaConf.load(folder / SWEEP))
    changed = {_key(text) for text in others}
    kept = [text for text in stored["hydra"] if _key(text) not in {*changed, "hydra.sweep.dir", "hydra.mode"}]
    return ["-m", *stored["flags"], *kept, *others, f"hydra.sweep.dir={quoted(folder)}", *stored["task"]]


def begin(config: DictConfig, names: Collection[str]) -> Path:
    """Give a sweep its one folder, new or known again, before Hydra starts it.

    Args:
        config: As Hydra composed it for the whole sweep; told the folder, and where a search is taken up again, the
            trials that are left and the numbers of their folders.
        names: Those of the jobs.

    Returns:
        The folder.

    Raises:
        UserError: the folder holds another sweep, or cannot be written.
    """
    name = next(iter(names)) if len(names) == 1 else MIXED
    with open_dict(config):
        config.name = name
    folder = Path(config.hydra.sweep.dir).absolute()
    now = _identity(config)
    if not is_given("hydra.sweep.dir", config.hydra):
        folder = new_folder(folder)
    again = (folder / SWEEP).is_file()
    if again:
        before: Any = OmegaConf.to_container(OmegaConf.load(folder / SWEEP))
        _refuse_another(folder, before, now)
    elif folder.is_dir() and any((path / ".hydra").is_dir() for path in folder.iterdir()):
        raise UserError(f"{folder}: holds other runs; nothing is overwritten: choose another hydra.sweep.dir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not again:
            OmegaConf.save(OmegaConf.create(now), folder / SWEEP)
    except OSError as error:
        raise unwritable(error) from error
    with open_dict(config):
        # Each job composes its own configuration: without these it would take a folder by its own name and time, and
        # write anew what the jobs that are kept were started with.
        config.hydra.sweep.dir = str(folder)
        config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(folder)}")
        if again:
            config.hydra.overrides.hydra.append("hydra.output_subdir=null")
        if again and "n_trials" in config.hydra.sweeper:
            _continue_search(config, folder)
    return folder


def store_configuration(config: DictConfig, hydra: Any) -> None:
    """Write a job's configuration as Hydra does, where it has not, for a job that starts when the sweep is taken up."""
    folder = Path(hydra.runtime.output_dir) / ".hydra"
    if (folder / "config.yaml").is_file():
        return
    folder.mkdir()
    OmegaConf.save(config, folder / "config.yaml")
    OmegaConf.save(OmegaConf.create({"hydra": hydra}), folder / "hydra.yaml")
    OmegaConf.save(hydra.overrides.task, folder / "overrides.yaml")


def sweep_of(run: Path) -> str | None:
    """The name of the sweep that a run's folder belongs to, ``<name>/<time>``; None for a run of its own."""
    found = next((folder for folder in run.absolute().parents if (folder / SWEEP).is_file()), None)
    return None if found is None else f"{found.parent.name}/{found.name}"


def given_flags(folder: Path) -> list[str]:
    """The flags that each line about a sweep needs as well: where the user's own configuration files lie."""
    stored: Any = OmegaConf.to_container(OmegaConf.load(folder / SWEEP)) if (folder / SWEEP).is_file() else {}
    return [str(flag) for flag in stored.get("flags", [])]


def refuse_objectiveless(sweeper: DictConfig, selects: bool) -> None:
    """Refuse a search that would have nothing to search by.

    Raises:
        UserError: the split has no part that selects.
    """
    if "n_trials" in sweeper and not selects:
        raise UserError(
            "the split has no validation part, so a search has nothing to go by; choose split=patient, or a grid"
        )


def _identity(config: DictConfig) -> dict[str, Any]:
    """What a sweep is known by, as plain data, and what else its command line held."""
    sources = config.hydra.runtime.config_sources
    plain: dict[str, Any] = {
        "task": given_overrides(config.hydra),
        "params": OmegaConf.to_container(config.hydra.sweeper.get("params") or OmegaConf.create({})),
        "hydra": OmegaConf.to_container(config.hydra.overrides.hydra),
        "flags": [f"--config-dir={source.path}" for source in sources if source.provider == "command-line"],
    }
    return plain


def _refuse_another(folder: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    if any(before[part] != now[part] for part in ("task", "params")):
        params = [f"{key}={value}" for key, value in before["params"].items()]
        raise UserError(
            f"{folder}: holds another sweep, {' '.join([*before['task'], *params])}; take that up again by "
            f"python train.py sweep={folder}, or choose another hydra.sweep.dir"
        )


def _continue_search(config: DictConfig, folder: Path) -> None:
    """Ask a search only for the trials that are left, in folders of a round of their own."""
    folders = job_folders(folder)
    records = [(path, read_record(path)) for path in folders]
    done = sum(record is not None and ended(path, record) for path, record in records)
    config.hydra.sweeper.n_trials = max(0, config.hydra.sweeper.n_trials - done)
    if folders:
        last = max(round_and_number(path)[0] for path in folders)
        config.hydra.overrides.hydra.append(f"hydra.sweep.subdir={last + 1}-${{hydra.job.num}}")


def _key(text: str) -> str:
    return text.lstrip("+~").partition("=")[0]
