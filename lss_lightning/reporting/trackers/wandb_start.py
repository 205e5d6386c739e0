"""How a W&B run starts: with an account or without, with a network or without, anew or resumed."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import wandb
from wandb.errors import Error

from lss_lightning.config.sections import WandbConfig
from lss_lightning.errors import UserError
from lss_lightning.reporting.trackers.content import RunDescription

RECORD = "wandb.json"
"""Where a run's folder keeps the run's identity in W&B."""

LAST_UPLOAD = 1800
"""Seconds that the end of a run waits for what is still to be sent."""

Mode = Literal["online", "offline", "disabled"]

say = logging.getLogger(__name__).warning


@dataclass(frozen=True)
class Identity:
    """A run's identity in W&B, and whether the server knows it already."""

    id: str
    project: str
    entity: str | None
    sent: bool


def start(about: RunDescription, config: WandbConfig) -> wandb.Run:
    """Start or go on with a run: on the server, or, with a line that says why, offline.

    Args:
        about: The run.
        config: Where to.

    Raises:
        UserError: the run that is resumed lies in another project, or with another entity.
    """
    before = _before(about, config)
    # It would report itself over several lines.
    wandb.setup(wandb.Settings(silent=True))
    mode = os.environ.get("WANDB_MODE", "online") if config.mode == "online" else config.mode
    run = None
    reason = ""
    if mode == "online":
        try:
            # Without an account init would ask for one.
            if wandb.login(prompt=False, verify=False):
                run = _init(about, config, before, "online")
            else:
                reason = "no account found, which wandb login or WANDB_API_KEY gives"
        except (Error, TimeoutError) as error:
            reason = _why(error, config, before)
    if run is None:
        run = _init(about, config, before, "disabled" if mode == "disabled" else "offline")
    if mode != "disabled":
        say(recording_line(run, reason) if run.offline else f"wandb: {run.url}")
        record = Identity(
            run.id, config.project, config.entity, not run.offline or (before is not None and before.sent)
        )
        (about.folder / RECORD).write_text(json.dumps(asdict(record), indent=2) + "\n")
    return run


def recording_line(run: wandb.Run, reason: str) -> str:
    """Where a run is recorded that the server has not got, and how to send it."""
    why = f"{reason}; " if reason else ""
    return f"wandb: {why}recorded offline, to be sent by: wandb sync {Path(run.dir).parent}"


def _before(about: RunDescription, config: WandbConfig) -> Identity | None:
    """The identity of the run that is resumed; None where it starts anew.

    Raises:
        UserError: it lies elsewhere.
    """
    path = about.folder / RECORD
    if not about.resumed or not path.is_file():
        return None
    before = Identity(**json.loads(path.read_text()))
    for key in ("project", "entity"):
        was, wanted = getattr(before, key), getattr(config, key)
        if was != wanted:
            raise UserError(
                f"logger.wandb.{key}={wanted or 'null'}: W&B has this run, {before.id}, under {was or 'null'}; leave "
                f"logger.wandb.{key} out to go on with it there, or start a new run"
            )
    return before


def _init(about: RunDescription, config: WandbConfig, before: Identity | None, mode: Mode) -> wandb.Run:
    must = before is not None and before.sent and mode == "online"
    settings = wandb.Settings(
        silent=True,
        console="off",  # a progress bar makes thousands of lines
        init_timeout=config.timeout,
        finish_timeout=LAST_UPLOAD,
        finish_timeout_raises=True,
    )
    return wandb.init(
        project=config.project,
        entity=config.entity,
        dir=about.folder,
        id=None if before is None else before.id,
        resume="must" if must else None if before is None else "allow",
        name=about.name,
        notes=about.note,
        group=config.group or about.group,
        job_type=about.job,
        tags=config.tags,
        config=dict(about.settings),
        mode=mode,
        reinit="create_new",
        settings=settings,
    )


def _why(error: Exception, config: WandbConfig, before: Identity | None) -> str:
    """What kept a run from the server, in a line."""
    place = "/".join(filter(None, (config.entity, config.project)))
    run = "" if before is None else f", run {before.id}"
    said = str(error).splitlines()[0].rstrip(".:")  # more lines are advice on its own settings
    return f"{place}{run} cannot be reached ({said})"
