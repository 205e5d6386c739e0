"""The layout of a run directory, and the rules for creating and locking one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lss_lightning.errors import UserError
from lss_lightning.files import file_lock

METRICS_SCHEMA = 1
"""Version of ``metrics.json``."""

CHECKPOINTS = "checkpoints"


@dataclass(frozen=True)
class RunFolder:
    """The directory of a run of ``train.py`` or ``evaluate.py``: the names of the files in it.

    No other module spells these names.

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
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / CHECKPOINTS

    @property
    def best_checkpoint(self) -> Path:
        """The checkpoint of the best epoch by the validation objective."""
        return self.checkpoints / "best.ckpt"

    @property
    def last_checkpoint(self) -> Path:
        """The checkpoint of the last epoch, from which a run is resumed."""
        return self.checkpoints / "last.ckpt"

    @property
    def selected_checkpoint(self) -> Path | None:
        """The best checkpoint, or the last one where no part of the split selects. None if there is neither."""
        return next((path for path in (self.best_checkpoint, self.last_checkpoint) if path.is_file()), None)

    @property
    def model_card(self) -> Path:
        """The model card of the selected checkpoint."""
        return self.checkpoints / "model-card.md"

    @property
    def metrics(self) -> Path:
        """The test result, JSON of version :data:`METRICS_SCHEMA`."""
        return self.path / "metrics.json"

    @property
    def epochs(self) -> Path:
        """The table of losses and scores with a row per epoch."""
        return self.path / "metrics.csv"

    @property
    def timing(self) -> Path:
        """The table of durations with a row per epoch."""
        return self.path / "timing.csv"

    @property
    def per_image(self) -> Path:
        """The table of scores with a row per slice and class."""
        return self.path / "per_image.csv"

    @property
    def counts(self) -> Path:
        """The ``digest``, ``patient``, ``level`` and confusion ``counts`` of every slice, which pair two runs."""
        return self.path / "counts.npz"

    @property
    def measurements(self) -> Path:
        """The table of measurements with a row per slice and measurement."""
        return self.path / "measurements.csv"

    @property
    def reports(self) -> Path:
        """The table of radiologists' notes with a row per patient and level."""
        return self.path / "reports.csv"

    @property
    def split(self) -> Path:
        """The table that says which slice is in which part."""
        return self.path / "split.csv"

    @property
    def report(self) -> Path:
        """The folder of the HTML report, its tables and figures."""
        return self.path / "report"

    @property
    def is_run(self) -> bool:
        """Whether the directory looks like a run's: it has checkpoints or a composed configuration."""
        return self.checkpoints.is_dir() or self.hydra.is_dir()

    @property
    def is_finished(self) -> bool:
        """Whether the run has written its test result."""
        return self.metrics.is_file()

    @property
    def resumes(self) -> list[Path]:
        """The folders that hold the configurations of the run's resumes, oldest first."""
        return sorted(self.hydra.glob("resume-[0-9]*"), key=lambda path: int(path.name.rpartition("-")[2]))

    @property
    def configurations(self) -> list[Path]:
        """The stored configuration files, that of the first start and of each resume, oldest first."""
        files = [folder / "config.yaml" for folder in (self.hydra, *self.resumes)]
        return [file for file in files if file.is_file()]

    def refuse_used(self) -> None:
        """Refuse a directory that already holds a run.

        Raises:
            UserError: it does.
        """
        for path in (self.checkpoints, self.epochs, self.metrics):
            if path.exists():
                raise UserError(
                    f"{self.path}: already holds a run ({path.name}); nothing is overwritten: choose another "
                    f"hydra.run.dir, or resume it with ckpt_path=…/{CHECKPOINTS}/{self.last_checkpoint.name}"
                )

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from training in the directory. The lock ends with the process, however it ends.

        Raises:
            UserError: another process holds the lock.
        """
        from filelock import Timeout

        lock = file_lock(self.path / ".lock")
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


def new_folder(folder: Path) -> Path:
    """Create the directory of a run or a sweep, whose name is the second in which it starts.

    Args:
        folder: The wanted path.

    Returns:
        The path that was created: ``folder``, or ``folder-2``, ``folder-3`` and so on if it exists.

    Raises:
        UserError: it cannot be written.
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
            raise unwritable(error) from error


def unwritable(error: OSError) -> UserError:
    """Return the error to raise where the directory of a run or a sweep cannot be written."""
    return UserError(
        f"{error.filename}: the run's folder cannot be written ({error.strerror}); choose another with paths.logs=…"
    )
