from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.loggers import RunDescription, SliceRow
from lss_lightning.reporting.loggers.wandb import WandbLogger
from tests.reporting.loggers.samples import make_case, make_description, make_result


def offline_logger(description: RunDescription, **settings: Any) -> WandbLogger:
    logger = WandbLogger(**{"mode": "offline", **settings})
    logger.describe_run(description)
    return logger


def media_files(run, kind: str) -> list[Path]:
    return sorted(path for path in (Path(run.dir) / "media" / kind).rglob("*") if path.is_file())


def test_examples_have_label_and_prediction_as_masks_with_class_names(record, tmp_path):
    logger = offline_logger(make_description(tmp_path / "run"))
    case = make_case(shift=1)
    logger.log_examples(4, [case])
    logger.end_run(failed=False)
    [(row, _)] = record.rows
    assert row["epoch"] == 4
    [image] = row["val/slices"]
    assert image._caption == case.title
    assert len(media_files(record.runs[0], "images/mask")) == 2
    for layer, classes in {"label": case.label, "prediction": case.prediction}.items():
        mask = image._masks[layer]
        assert Path(mask._path) in media_files(record.runs[0], "images/mask")
        assert np.array_equal(np.asarray(Image.open(mask._path)), classes)
        assert mask._val["class_labels"] == {index: label.name for index, label in enumerate(LUMBAR)}
    [picture] = media_files(record.runs[0], "images/val")
    assert np.array_equal(np.asarray(Image.open(picture)), case.image[..., 0])


@pytest.mark.parametrize("known", [False, True])
def test_past_epochs_are_recorded_unless_the_server_has_them(known, record, tmp_path):
    logger = offline_logger(make_description(tmp_path / "run", resumed=True))
    run = logger.experiment
    logger._experiment = SimpleNamespace(resumed=known, log=run.log, finish=run.finish)  # type: ignore[assignment]
    logger.log_past_epochs([{"epoch": 0, "lr": 0.1}, {"epoch": 1, "lr": 0.2}])
    logger.end_run(failed=False)
    assert [row for row, _ in record.rows] == ([] if known else [{"epoch": 0, "lr": 0.1}, {"epoch": 1, "lr": 0.2}])


def test_metrics_of_a_batch_keep_the_step_of_lightning(record, tmp_path):
    logger = offline_logger(make_description(tmp_path / "run"))
    logger.log_metrics({"epoch": 0, "lr": 0.1}, 0)
    logger.log_metrics({"epoch": 1, "loss_step": 0.5}, 70)
    logger.log_metrics({"epoch": 1, "lr": 0.2}, 1)
    logger.end_run(failed=False)
    assert [row for row, _ in record.rows] == [
        {"epoch": 0, "lr": 0.1},
        {"epoch": 1, "loss_step": 0.5, "trainer/global_step": 70},
        {"epoch": 1, "lr": 0.2},
    ]


def test_a_result_is_recorded_completely(record, tmp_path):
    logger = offline_logger(make_description(tmp_path / "run"))
    logger.log_metrics({"epoch": 3, "lr": 0.1}, 3)
    logger.log_result(make_result(tmp_path / "report"))
    logger.end_run(failed=False)
    row, _ = record.rows[-1]
    assert (row["test/mean_iou"], row["objective"]) == (0.7, 0.65)
    assert {"figure/confusion", "figure/curves", "page/index", "test/confusion", "test/cases"} <= row.keys()
    [page] = media_files(record.runs[0], "html")
    assert "Report" in page.read_text()
    table = row["test/cases"]
    names = [label.name for label in LUMBAR]
    assert table.columns == ["Patient", "Level", "Mean IoU, anatomy", *names, "Slice"]
    assert [line[:4] for line in table.data] == [["0001", "D3", 0.7, 0.9], ["0002", "D4", None, 0.9]]
    assert table.data[0][3 + LUMBAR.keys.index("aap")] is None
    stored = [json.loads(path.read_text()) for path in media_files(record.runs[0], "table/test")]
    assert [table["columns"] for table in stored if "Patient" in table["columns"]] == [table.columns]
    cells = row["test/confusion"].table.data
    assert cells[1] == [names[0], names[1], 1]
    assert len(cells) == 36


def test_the_checkpoint_is_an_artifact_with_metrics_and_aliases(record, tmp_path):
    logger = offline_logger(make_description(tmp_path / "run", name="resunet: fold 1"))
    card = tmp_path / "model-card.md"
    card.write_text("# Card")
    logger.log_result(make_result(tmp_path / "report", card=card))
    logger.end_run(failed=False)
    [(artifact, aliases)] = record.artifacts
    assert aliases == ["best", "epoch-3"]
    assert artifact.type == "model"
    assert artifact.name.startswith(f"resunet-fold-1-{record.runs[0].id}")
    assert artifact.metadata == {"epoch": 3, **make_result(tmp_path / "report").metrics}
    assert set(artifact.manifest.entries) == {"best.ckpt", "model-card.md"}


@pytest.mark.parametrize("changes", [{"checkpoint": None}, {}], ids=["no checkpoint", "not configured"])
def test_no_artifact_without_checkpoint_or_setting(changes, record, tmp_path):
    settings = {} if changes else {"checkpoint": False}
    logger = offline_logger(make_description(tmp_path / "run"), **settings)
    logger.log_result(make_result(tmp_path / "report", **changes))
    logger.end_run(failed=False)
    assert record.artifacts == []


def test_the_table_has_no_image_column_without_examples(record, tmp_path):
    logger = offline_logger(make_description(tmp_path / "run"))
    rows = [SliceRow("0001", "D3", np.full(6, 0.5), 0.5, None)]
    logger.log_result(make_result(tmp_path / "report", rows=rows))
    logger.end_run(failed=False)
    assert "Slice" not in record.rows[0][0]["test/cases"].columns


def test_a_run_carries_its_description(record, tmp_path):
    description = make_description(
        tmp_path / "run", group="2026-01-01", job="evaluate", settings={"optimizer.lr": 0.1, "model": "resunet"}
    )
    logger = offline_logger(description, tags=["paper"])
    logger.log_hyperparams(dict(description.settings))
    logger.end_run(failed=True)
    [run] = record.runs
    assert (run.name, run.group, run.job_type) == ("a run", "2026-01-01", "evaluate")
    assert (run.tags, run.notes) == (("paper",), "Phantom.")
    assert run.config["optimizer.lr"] == 0.1
    assert run.config["model"] == "resunet"
    assert Path(run.dir).is_relative_to(tmp_path / "run" / "wandb")
    assert record.exit_codes == [1]


def test_the_group_can_be_configured(record, tmp_path):
    description = make_description(tmp_path / "run", group="2026-01-01")
    offline_logger(description, group="mine").end_run(failed=False)
    assert record.runs[0].group == "mine"


def test_disabled_writes_nothing(record, tmp_path):
    logger = offline_logger(make_description(tmp_path / "run"), mode="disabled")
    logger.log_metrics({"epoch": 0, "lr": 0.1}, 0)
    logger.log_examples(0, [make_case()])
    logger.end_run(failed=False)
    assert list((tmp_path / "run").iterdir()) == []
