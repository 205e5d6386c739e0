"""The logger that writes ``metrics.csv`` and ``timing.csv``, the tables of a run directory with one row per epoch."""

from __future__ import annotations

import csv
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from lss_lightning.files import write_csv
from lss_lightning.reporting.loggers.description import RunDescription
from lss_lightning.runs.layout import RunFolder


class CSVLogger(Logger):
    """A logger that writes the metrics and durations of each training epoch.

    Lightning's own CSVLogger writes one row per call. This logger writes one row per epoch and, when a run is resumed,
    drops the rows of later epochs. If a callback passes a metric directly to the logger, the last value of the epoch is
    written.

    Attributes:
        description: The description of the run, or None until :meth:`describe_run` is called.
    """

    def __init__(self) -> None:
        super().__init__()
        self.description: RunDescription | None = None
        self._latest: dict[str, float] = {}
        self._additional: dict[float, dict[str, float]] = {}

    @property
    def name(self) -> str:
        """An empty string, because the run directory contains a single run."""
        return ""

    @property
    def version(self) -> str:
        """An empty string."""
        return ""

    @property
    def save_dir(self) -> str | None:
        """The run directory."""
        return None if self.description is None else str(self.description.folder)

    def describe_run(self, description: RunDescription) -> None:
        """Receive the description of the run, of which only the run directory is used."""
        self.description = description

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the settings are in ``.hydra``."""

    @rank_zero_only
    def log_past_epochs(self, rows: Sequence[Mapping[str, float]]) -> None:
        """Restore the metrics that callbacks passed directly to the logger before the run was resumed."""
        assert self.description is not None
        file = RunFolder(self.description.folder).epochs
        if rows and file.is_file():
            with file.open(newline="") as stream:
                written = {int(line["epoch"]): line for line in csv.DictReader(stream)}
            for row in rows:
                line = written.get(int(row["epoch"]), {})
                self._additional[row["epoch"]] = {
                    name: float(text) for name, text in line.items() if text and name not in row
                }

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Store metrics for the row of the current epoch."""
        self._latest.update(metrics)

    @rank_zero_only
    def write_epochs(self, rows: Sequence[Mapping[str, float]], timing: Sequence[Mapping[str, float]]) -> None:
        """Write the tables.

        Args:
            rows: The metrics of all epochs so far by name, including ``epoch``. NaN marks an undefined value.
            timing: The durations of the same epochs.
        """
        assert self.description is not None
        run, epoch = RunFolder(self.description.folder), rows[-1]["epoch"]
        known = rows[-1].keys() | timing[-1].keys()
        self._additional[epoch] = {name: value for name, value in self._latest.items() if name not in known}
        self._latest = {}
        _write_rows(run.epochs, [{**row, **self._additional.get(row["epoch"], {})} for row in rows])
        _write_rows(run.timing, timing)


def _write_rows(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write rows as CSV. ``epoch`` is written as an integer, other values at full precision."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    write_csv(path, columns, ([_format_cell(name, row.get(name)) for name in columns] for row in rows))


def _format_cell(name: str, value: float | None) -> str | None:
    return None if value is None else repr(int(value) if name == "epoch" else value)
