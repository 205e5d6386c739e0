"""Start or resumption of a W&B run: online if an account and the server are available, otherwise offline."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import wandb
from wandb.errors import Error

from lss_lightning.config.loggers import WandbConfig
from lss_lightning.errors import UserError
from lss_lightning.files import write_json
from lss_lightning.reporting.loggers.description import RunDescription
from lss_lightning.runs.layout import RunFolder

UPLOAD_TIMEOUT = 1800
"""Seconds to wait for the upload at the end of a run."""

WandbMode: TypeAlias = Literal["online", "offline", "disabled"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WandbIdentity:
    """The identity of a run in W&B.

    Attributes:
        id: The ID of the run.
        project: The project of the run.
        entity: The user or team, or None for the account's default entity.
        sent: Whether the run exists on the server.
    """

    id: str
    project: str
    entity: str | None
    sent: bool


def start_run(description: RunDescription, config: WandbConfig) -> wandb.Run:
    """Start or resume a run on the server, or offline with a log message that states the reason.

    Args:
        description: The run.
        config: The W&B settings.

    Raises:
        UserError: If a resumed run was recorded in another project or under another entity.
    """
    earlier = _read_identity(description, config)
    # W&B's own messages, which take several lines, are silenced.
    wandb.setup(wandb.Settings(silent=True))
    mode = os.environ.get("WANDB_MODE", "online") if config.mode == "online" else config.mode
    run = None
    reason = ""
    if mode == "online":
        try:
            # Without an account, wandb.init would prompt for one.
            if wandb.login(prompt=False, verify=False):
                run = _init(description, config, earlier, "online")
            else:
                reason = "no account found (run wandb login or set WANDB_API_KEY)"
        except (Error, TimeoutError) as error:
            reason = _describe_error(error, config, earlier)
    if run is None:
        run = _init(description, config, earlier, "disabled" if mode == "disabled" else "offline")
    if mode != "disabled":
        _log.warning(format_offline_notice(run, reason) if run.offline else f"wandb: {run.url}")
        sent = not run.offline or (earlier is not None and earlier.sent)
        identity = WandbIdentity(run.id, config.project, config.entity, sent)
        write_json(RunFolder(description.folder).wandb_identity, asdict(identity))
    return run


def format_offline_notice(run: wandb.Run, reason: str) -> str:
    """Return a log message that states why a run is recorded offline and how to upload it."""
    prefix = f"{reason}; " if reason else ""
    return f"wandb: {prefix}recorded offline, upload it with: wandb sync {Path(run.dir).parent}"


def _read_identity(description: RunDescription, config: WandbConfig) -> WandbIdentity | None:
    """Read the identity of a resumed run, or return None for a new one.

    Raises:
        UserError: If the run was recorded in another project or under another entity.
    """
    path = RunFolder(description.folder).wandb_identity
    if not description.resumed or not path.is_file():
        return None
    identity = WandbIdentity(**json.loads(path.read_text()))
    for key in ("project", "entity"):
        recorded, configured = getattr(identity, key), getattr(config, key)
        if recorded != configured:
            raise UserError(
                f"{key}={configured or 'null'}: run {identity.id} is recorded under {key} {recorded or 'null'} in W&B; "
                f"remove {key} to resume it there, or start a new run"
            )
    return identity


def _init(
    description: RunDescription, config: WandbConfig, earlier: WandbIdentity | None, mode: WandbMode
) -> wandb.Run:
    on_server = earlier is not None and earlier.sent and mode == "online"
    settings = wandb.Settings(
        silent=True,
        console="off",  # a progress bar would produce thousands of lines
        init_timeout=config.timeout,
        finish_timeout=UPLOAD_TIMEOUT,
        finish_timeout_raises=True,
    )
    return wandb.init(
        project=config.project,
        entity=config.entity,
        dir=description.folder,
        id=None if earlier is None else earlier.id,
        resume="must" if on_server else None if earlier is None else "allow",
        name=description.name,
        notes=description.note,
        group=config.group or description.group,
        job_type=description.job,
        tags=config.tags,
        mode=mode,
        reinit="create_new",
        settings=settings,
    )


def _describe_error(error: Exception, config: WandbConfig, earlier: WandbIdentity | None) -> str:
    """Return a one-line explanation of why the server could not be reached."""
    project = "/".join(filter(None, (config.entity, config.project)))
    run = "" if earlier is None else f", run {earlier.id}"
    message = str(error).splitlines()[0].rstrip(".:")  # further lines give advice on W&B's own settings
    return f"{project}{run} cannot be reached ({message})"
