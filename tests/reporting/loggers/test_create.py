"""Loggers created from the ``logger`` section."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning.loggers.logger import DummyLogger

from lss_lightning.errors import UserError
from lss_lightning.reporting.loggers import make_loggers
from lss_lightning.reporting.loggers.csv import CSVLogger


class FolderLogger(DummyLogger):
    """A logger that takes a folder."""

    def __init__(self, save_dir: str, size: int = 1) -> None:
        super().__init__()
        self.folder, self.size = save_dir, size


class ServiceError(Exception):
    """An exception of a service."""


class KeylessLogger(DummyLogger):
    """A logger whose service rejects the account."""

    def __init__(self) -> None:
        raise ServiceError("no API key:\nset SERVICE_KEY")


HERE = "tests.reporting.loggers.test_create"
CSV = "lss_lightning.reporting.loggers.csv.CSVLogger"


def test_loggers_keep_the_names_and_the_order_of_their_entries(tmp_path):
    section: dict[str, dict[str, Any]] = {
        "mine": {"_target_": f"{HERE}.FolderLogger", "size": 3},
        "table": {"_target_": CSV},
    }
    loggers: dict[str, Any] = dict(make_loggers(section, tmp_path))
    assert list(loggers) == ["mine", "table"]
    assert (loggers["mine"].folder, loggers["mine"].size) == (str(tmp_path / "mine"), 3)
    assert isinstance(loggers["table"], CSVLogger)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_the_user_is_kept(tmp_path):
    section = {"mine": {"_target_": f"{HERE}.FolderLogger", "save_dir": "elsewhere"}}
    logger: Any = make_loggers(section, tmp_path)["mine"]
    assert logger.folder == "elsewhere"


@pytest.mark.parametrize("name", ["CSVLogger", "TensorBoardLogger"])
def test_loggers_of_lightning_write_into_a_folder_of_their_entry(name, tmp_path):
    logger: Any = make_loggers({"mine": {"_target_": f"pytorch_lightning.loggers.{name}"}}, tmp_path)["mine"]
    logger.log_metrics({"a": 1.0}, 0)
    logger.save()
    assert Path(logger.log_dir) == tmp_path / "mine"
    assert any(path.is_file() for path in (tmp_path / "mine").iterdir())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"_target_": "nowhere.Logger"}, r"logger\.mine: nowhere\.Logger cannot be .*No module named 'nowhere'"),
        (
            {"_target_": "pathlib.Path"},
            r"logger\.mine\._target_=pathlib\.Path: not a Lightning logger; name a subclass",
        ),
        ({"_target_": CSV, "folder": "x"}, r"logger\.mine: .*CSVLogger cannot be .* unexpected keyword argument"),
        (
            {"_target_": f"{HERE}.KeylessLogger"},
            r"logger\.mine: .*\.KeylessLogger cannot be created \(no API key: set SERVICE_KEY\); correct its settings, "
            r"or leave it out with logger\.mine=null",
        ),
        (
            {"_target_": "pytorch_lightning.loggers.CometLogger"},
            r"logger\.mine: .*CometLogger cannot be .*pip install -U 'comet-ml",
        ),
    ],
    ids=str,
)
def test_a_logger_that_cannot_be_created_is_refused_in_one_line(entry, message, tmp_path):
    with pytest.raises(UserError, match=f"^{message}") as raised:
        make_loggers({"mine": entry}, tmp_path)
    assert "\n" not in str(raised.value)


def test_the_extra_of_mlflow_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "lss_lightning.reporting.loggers.mlflow.find_spec", lambda name: None if name == "mlflow" else find_spec(name)
    )
    with pytest.raises(UserError, match=r"^logger\.mlflow: .*\(MLflow is not installed; run pip install 'lss-light"):
        make_loggers({"mlflow": {"_target_": "lss_lightning.reporting.loggers.mlflow.MLFlowLogger"}}, tmp_path)
