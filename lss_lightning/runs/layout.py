"""The layout of run directories, and the rules for creating and locking them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lss_lightning.errors import UserError
from lss_lightning.files import file_lock

METRICS_SCHEMA = 1
"""Version of the format of ``metrics.json``."""

CHECKPOINTS = "checkpoints"
MEASUREMENT_ERRORS = "measurement-errors.json"
"""File in the folder of a checkpoint with the errors of the checkpoint's measurements on its test part."""

CONFIGURATION = "config.yaml"


@dataclass(frozen=True)
class RunFolder:
    """The directory of a run and the names of the files in it.

    Each command writes some of the files. No other module contains these names.

    Attributes:
        path: The directory.
    """

    path: Path

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> RunFolder | None:
        """Return the run that a checkpoint file belongs to, or None if it is not in a run's ``checkpoints`` folder."""
        return cls(checkpoint.parent.parent) if checkpoint.parent.name == CHECKPOINTS else None

    @property
    def hydra(self) -> Path:
        """The folder of the composed configuration."""
        return self.path / ".hydra"

    @property
    def configuration(self) -> Path:
        """The configuration that the run was started with."""
        return self.hydra / CONFIGURATION

    @property
    def hydra_configuration(self) -> Path:
        """Hydra's own configuration of the run."""
        return self.hydra / "hydra.yaml"

    @property
    def overrides(self) -> Path:
        """The overrides on the command line that started the run."""
        return self.hydra / "overrides.yaml"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def best_checkpoint(self) -> Path:
        """The checkpoint of the best epoch according to the validation objective."""
        return self.checkpoints / "best.ckpt"

    @property
    def last_checkpoint(self) -> Path:
        """The checkpoint of the last epoch, from which a run is resumed."""
        return self.checkpoints / "last.ckpt"

    @property
    def selected_checkpoint(self) -> Path | None:
        """The best checkpoint, or the last one if the split has no selecting part; None if neither exists."""
        return next((path for path in (self.best_checkpoint, self.last_checkpoint) if path.is_file()), None)

    @property
    def model_card(self) -> Path:
        """The model card of the selected checkpoint."""
        return self.checkpoints / "model-card.md"

    @property
    def metrics(self) -> Path:
        """The test result, JSON in the format of version :data:`METRICS_SCHEMA`."""
        return self.path / "metrics.json"

    @property
    def epochs(self) -> Path:
        """The table of losses and scores, with one row per epoch."""
        return self.path / "metrics.csv"

    @property
    def timing(self) -> Path:
        """The table of durations, with one row per epoch."""
        return self.path / "timing.csv"

    @property
    def per_image(self) -> Path:
        """The table of scores, with one row per slice and class."""
        return self.path / "per_image.csv"

    @property
    def counts(self) -> Path:
        """The ``digest``, ``patient``, ``level`` and confusion ``counts`` of each slice, used to pair two runs."""
        return self.path / "counts.npz"

    @property
    def measurements(self) -> Path:
        """The table of measurements, with one row per slice and measurement."""
        return self.path / "measurements.csv"

    @property
    def reports(self) -> Path:
        """The table of radiologists' notes, with one row per patient and level."""
        return self.path / "reports.csv"

    @property
    def split(self) -> Path:
        """The table that assigns each slice to a part of the split."""
        return self.path / "split.csv"

    @property
    def inventory(self) -> Path:
        """The inventory of a data set, JSON."""
        return self.path / "inventory.json"

    @property
    def contact_sheet(self) -> Path:
        """The figure of slices of a data set."""
        return self.path / "inventory.png"

    @property
    def report(self) -> Path:
        """The folder of the HTML report, its tables and figures."""
        return self.path / "report"

    @property
    def report_page(self) -> Path:
        """The HTML report."""
        return self.report / "index.html"

    @property
    def curves(self) -> Path:
        """The figure of the learning curves."""
        return self.report / "curves.png"

    @property
    def log(self) -> Path:
        """The log of a training run."""
        return self.path / "train.log"

    @property
    def lock_file(self) -> Path:
        """The file that :meth:`locked` locks."""
        return self.path / ".lock"

    @property
    def tensorboard(self) -> Path:
        """The folder of the TensorBoard event files."""
        return self.path / "tensorboard"

    @property
    def mlflow_identity(self) -> Path:
        """The identity of the run in MLflow, JSON."""
        return self.path / "mlflow.json"

    @property
    def wandb_identity(self) -> Path:
        """The identity of the run in Weights & Biases, used to continue it when the run is resumed."""
        return self.path / "wandb.json"

    @property
    def job_record(self) -> Path:
        """The state of a job in a sweep. Other runs have no such file."""
        return self.path / "job.json"

    @property
    def is_run(self) -> bool:
        """Whether the directory appears to hold a run: it has checkpoints or a composed configuration."""
        return self.checkpoints.is_dir() or self.hydra.is_dir()

    @property
    def is_finished(self) -> bool:
        """Whether the run has written its test result."""
        return self.metrics.is_file()

    @property
    def resumes(self) -> list[Path]:
        """The folders of the configurations with which the run was resumed, oldest first."""
        return sorted(self.hydra.glob("resume-[0-9]*"), key=lambda path: int(path.name.rpartition("-")[2]))

    @property
    def configurations(self) -> list[Path]:
        """The stored configuration files of the first start and of each resume, oldest first."""
        files = [self.configuration, *(folder / CONFIGURATION for folder in self.resumes)]
        return [file for file in files if file.is_file()]

    def load_metrics(self) -> Any:
        """Return the content of ``metrics.json``, unchecked.

        Raises:
            ValueError: If the file is not JSON.
        """
        return json.loads(self.metrics.read_text(encoding="utf-8"))

    def load_objective(self) -> float | None:
        """Return the validation objective of the tested checkpoint, or None if the split has no selecting part."""
        objective: float | None = self.load_metrics().get("validation", {}).get("objective")
        return objective

    def check_unused(self) -> None:
        """Check that the directory does not already hold a run.

        Raises:
            UserError: If the directory holds checkpoints or results.
        """
        for path in (self.checkpoints, self.epochs, self.metrics):
            if path.exists():
                raise UserError(
                    f"{self.path}: already holds a run ({path.name}), which is never overwritten; choose another "
                    f"hydra.run.dir, or resume the run with ckpt_path=…/{CHECKPOINTS}/{self.last_checkpoint.name}"
                )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Prevent other processes from training in the directory until the block or the process ends.

        Raises:
            UserError: If another process holds the lock.
        """
        from filelock import Timeout

        lock = file_lock(self.lock_file)
        try:
            lock.acquire(blocking=False)
        except Timeout as error:
            raise UserError(
                f"{self.path}: another process is training there; wait for it to end, or choose another hydra.run.dir"
            ) from error
        try:
            yield
        finally:
            lock.release()


def create_folder(folder: Path) -> Path:
    """Create the directory of a run or a sweep under an unused name.

    Directories are named after the second in which a command starts, so two commands may choose the same name.

    Args:
        folder: The preferred path.

    Returns:
        The created path: ``folder``, or ``folder-2``, ``folder-3`` and so on if ``folder`` exists.

    Raises:
        UserError: If the directory cannot be written.
    """
    name, number = folder.name, 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
            folder = folder.with_name(f"{name}-{number}")
        except OSError as error:
            raise unwritable_folder_error(error) from error


def unwritable_folder_error(error: OSError) -> UserError:
    """Return the error to raise if the directory of a run or a sweep cannot be written."""
    return UserError(
        f"{error.filename}: the run directory cannot be written ({error.strerror}); choose another with paths.logs=…"
    )
