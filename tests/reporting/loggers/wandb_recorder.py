"""W&B without a server, isolated from the machine's settings, with a record of the calls that runs make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FAKE_KEY = "0123456789" * 4
"""Has the form of an API key."""


class WandbRecord:
    """The content that reached W&B.

    Attributes:
        rows: The rows of history, each with its step.
        artifacts: The artifacts, each with its aliases.
        runs: The runs that were started.
        exit_codes: The exit codes of the runs that were finished.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[dict[str, Any], int | None]] = []
        self.artifacts: list[tuple[Any, list[str]]] = []
        self.runs: list[Any] = []
        self.exit_codes: list[int] = []

    @property
    def keys(self) -> set[str]:
        """The keys of all rows."""
        return {key for row, _ in self.rows for key in row}

    def values_of(self, key: str) -> list[Any]:
        """Return the values of a key in the rows that contain it."""
        return [row[key] for row, _ in self.rows if key in row]


@contextmanager
def record_wandb(folder: Path) -> Iterator[WandbRecord]:
    """Keep W&B's settings, caches and account in a folder of their own, and record the calls of its runs."""
    import wandb

    record = WandbRecord()
    log, log_artifact, finish, init = wandb.Run.log, wandb.Run.log_artifact, wandb.Run.finish, wandb.init

    def record_log(run: Any, data: dict[str, Any], step: int | None = None, **more: Any) -> None:
        record.rows.append((dict(data), step))
        log(run, data, step=step, **more)

    def record_artifact(run: Any, artifact: Any, *, aliases: list[str] | None = None) -> Any:
        if aliases is not None:  # W&B itself logs tables as artifacts, without aliases
            record.artifacts.append((artifact, aliases))
        return log_artifact(run, artifact, aliases=aliases)

    def record_finish(run: Any, exit_code: int) -> None:
        record.exit_codes.append(exit_code)
        finish(run, exit_code=exit_code)

    def record_init(**settings: Any) -> Any:
        record.runs.append(init(**settings))
        return record.runs[-1]

    with pytest.MonkeyPatch.context() as patch:
        for name in ("CONFIG", "CACHE", "DATA", "ARTIFACT"):
            patch.setenv(f"WANDB_{name}_DIR", str(folder / name.lower()))
        patch.setenv("NETRC", str(folder / "netrc"))
        for name in ("API_KEY", "MODE", "BASE_URL", "ENTITY", "PROJECT"):
            patch.delenv(f"WANDB_{name}", raising=False)
        patch.setattr(wandb.Run, "log", record_log)
        patch.setattr(wandb.Run, "log_artifact", record_artifact)
        patch.setattr(wandb.Run, "finish", record_finish)
        patch.setattr(wandb, "init", record_init)
        wandb.teardown()  # discards the machine's settings
        yield record
        wandb.teardown()
