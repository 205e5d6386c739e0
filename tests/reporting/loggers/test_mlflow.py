"""The MLflow logger by itself. ``tests/workflows/test_own_loggers.py`` trains with it."""

from __future__ import annotations

import pytest

from lss_lightning.reporting.loggers.mlflow import MLFlowLogger
from tests.reporting.loggers.samples import make_description, make_result

pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'lss-lightning[mlflow]'")


def make_logger(folder, **changes) -> MLFlowLogger:
    logger = MLFlowLogger(
        checkpoint=changes.pop("checkpoint", True),
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
        artifact_location=str(folder / "files"),
    )
    logger.describe_run(make_description(folder / "run", **changes))
    return logger


def stored_files(logger: MLFlowLogger) -> set[str]:
    paths = [file.path for file in logger.experiment.list_artifacts(logger.run_id)]
    return {file.path for path in paths for file in logger.experiment.list_artifacts(logger.run_id, path)}


def test_the_report_and_the_checkpoint_are_artifacts(tmp_path):
    card = tmp_path / "model-card.md"
    card.write_text("# Card")
    logger = make_logger(tmp_path, group="a sweep")
    logger.log_result(make_result(tmp_path / "report", card=card))
    logger.end_run(failed=True)
    run = logger.experiment.get_run(logger.run_id)
    assert stored_files(logger) == {
        *("report/confusion.png", "report/curves.png", "report/index.html", "test/cases.md"),
        *("checkpoints/best.ckpt", "checkpoints/model-card.md"),
    }
    assert run.data.metrics == {"test/mean_iou": 0.7, "test/iou/thecal_sac": 0.6, "objective": 0.65}
    assert (run.info.status, run.data.tags["group"], run.data.tags["mlflow.note.content"]) == (
        "FAILED",
        "a sweep",
        "Phantom.",
    )


def test_no_checkpoint_is_stored_without_the_setting(tmp_path):
    logger = make_logger(tmp_path, checkpoint=False)
    logger.log_result(make_result(tmp_path / "report"))
    assert not any(file.startswith("checkpoints") for file in stored_files(logger))


def test_a_resumed_run_keeps_its_settings_and_a_new_one_has_the_past_epochs(tmp_path):
    first = make_logger(tmp_path)
    first.log_hyperparams({"lr": 0.1, "epochs": 1})
    second = make_logger(tmp_path, resumed=True)
    second.log_hyperparams({"lr": 0.1, "epochs": 2, "seed": 0})
    second.log_past_epochs([{"epoch": 0.0, "val/iou": 0.5}])
    assert second.run_id == first.run_id
    data = second.experiment.get_run(second.run_id).data
    assert data.params == {"lr": "0.1", "epochs": "1", "seed": "0"}
    assert data.metrics == {}
    (tmp_path / "run" / "mlflow.json").unlink()
    third = make_logger(tmp_path, resumed=True)
    third.log_past_epochs([{"epoch": 0.0, "val/iou": 0.5}])
    assert third.run_id != first.run_id
    assert third.experiment.get_run(third.run_id).data.metrics == {"epoch": 0.0, "val/iou": 0.5}
