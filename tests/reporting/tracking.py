"""W&B without a server: a place of its own on the disk, and a record of what a run is given."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ACCOUNT = "0123456789" * 4
"""Looks like a key, and is none."""


class Given:
    """What reached W&B.

    Attributes:
        rows: Of history, each with its step.
        artifacts: Each with its aliases.
        runs: What was started.
        ends: Exit codes.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[dict[str, Any], int | None]] = []
        self.artifacts: list[tuple[Any, list[str]]] = []
        self.runs: list[Any] = []
        self.ends: list[int] = []

    @property
    def keys(self) -> set[str]:
        return {key for row, _ in self.rows for key in row}

    def of(self, key: str) -> list[Any]:
        return [row[key] for row, _ in self.rows if key in row]


@contextmanager
def wandb_of_its_own(place: Path) -> Iterator[Given]:
    """Keep W&B's settings, caches and account apart from the machine's, and note what its runs are given."""
    import wandb

    given = Given()
    log, log_artifact, finish, start = wandb.Run.log, wandb.Run.log_artifact, wandb.Run.finish, wandb.init

    def noting_log(run: Any, data: dict[str, Any], step: int | None = None, **more: Any) -> None:
        given.rows.append((dict(data), step))
        log(run, data, step=step, **more)

    def noting_artifact(run: Any, artifact: Any, *, aliases: list[str] | None = None) -> Any:
        if aliases is not None:  # else it is a table, which W&B keeps so by itself
            given.artifacts.append((artifact, aliases))
        return log_artifact(run, artifact, aliases=aliases)

    def noting_finish(run: Any, exit_code: int) -> None:
        given.ends.append(exit_code)
        finish(run, exit_code=exit_code)

    def noting_start(**settings: Any) -> Any:
        given.runs.append(start(**settings))
        return given.runs[-1]

    with pytest.MonkeyPatch.context() as patch:
        for name in ("CONFIG", "CACHE", "DATA", "ARTIFACT"):
            patch.setenv(f"WANDB_{name}_DIR", str(place / name.lower()))
        patch.setenv("NETRC", str(place / "netrc"))
        for name in ("API_KEY", "MODE", "BASE_URL", "ENTITY", "PROJECT"):
            patch.delenv(f"WANDB_{name}", raising=False)
        patch.setattr(wandb.Run, "log", noting_log)
        patch.setattr(wandb.Run, "log_artifact", noting_artifact)
        patch.setattr(wandb.Run, "finish", noting_finish)
        patch.setattr(wandb, "init", noting_start)
        wandb.teardown()  # which read the machine's settings
        yield given
        wandb.teardown()
