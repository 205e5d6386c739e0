from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lss_lightning.config.sections import LoggerConfig, WandbConfig
from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.trackers import EpochRecord, SliceRow, open_trackers
from tests.reporting.trackers.samples import make_case, make_description, make_result, offline_config


def media_files(run, kind: str) -> list[Path]:
    return sorted(path for path in (Path(run.dir) / "media" / kind).rglob("*") if path.is_file())


def test_examples_have_label_and_prediction_as_masks_with_class_names(record, tmp_path):
    [tracker] = open_trackers(offline_config(), make_description(tmp_path / "run"))
    case = make_case(shift=1)
    tracker.log_epoch(EpochRecord(4, {"val/mean_iou": 0.5}, [case]))
    tracker.close(failed=False)
    [(row, step)] = record.rows
    assert (step, row["epoch"], row["val/mean_iou"]) == (4, 4, 0.5)
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
    tracker: Any
    [tracker] = open_trackers(offline_config(), make_description(tmp_path / "run", resumed=True))
    tracker.run = SimpleNamespace(resumed=known, log=tracker.run.log, finish=tracker.run.finish)
    tracker.log_past_epochs([EpochRecord(0, {"lr": 0.1}), EpochRecord(1, {"lr": 0.2})])
    tracker.close(failed=False)
    assert [(row["lr"], step) for row, step in record.rows] == ([] if known else [(0.1, 0), (0.2, 1)])


def test_a_result_is_recorded_completely(record, tmp_path):
    [tracker] = open_trackers(offline_config(), make_description(tmp_path / "run"))
    tracker.log_epoch(EpochRecord(3, {"lr": 0.1}))
    tracker.log_result(make_result(tmp_path / "report"))
    tracker.close(failed=False)
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
    [tracker] = open_trackers(offline_config(), make_description(tmp_path / "run", name="resunet: fold 1"))
    card = tmp_path / "model-card.md"
    card.write_text("# Card")
    tracker.log_result(make_result(tmp_path / "report", card=card))
    tracker.close(failed=False)
    [(artifact, aliases)] = record.artifacts
    assert aliases == ["best", "epoch-3"]
    assert artifact.type == "model"
    assert artifact.name.startswith(f"resunet-fold-1-{record.runs[0].id}")
    assert artifact.metadata == {"epoch": 3, **make_result(tmp_path / "report").metrics}
    assert set(artifact.manifest.entries) == {"best.ckpt", "model-card.md"}


@pytest.mark.parametrize("changes", [{"checkpoint": None}, {}], ids=["no checkpoint", "not configured"])
def test_no_artifact_without_checkpoint_or_setting(changes, record, tmp_path):
    config = offline_config() if changes else offline_config(checkpoint=False)
    [tracker] = open_trackers(config, make_description(tmp_path / "run"))
    tracker.log_result(make_result(tmp_path / "report", **changes))
    tracker.close(failed=False)
    assert record.artifacts == []


def test_the_table_has_no_image_column_without_examples(record, tmp_path):
    [tracker] = open_trackers(offline_config(), make_description(tmp_path / "run"))
    rows = [SliceRow("0001", "D3", np.full(6, 0.5), 0.5, None)]
    tracker.log_result(make_result(tmp_path / "report", rows=rows))
    tracker.close(failed=False)
    assert "Slice" not in record.rows[0][0]["test/cases"].columns


def test_a_run_carries_its_description(record, tmp_path):
    description = make_description(
        tmp_path / "run", group="2026-01-01", job="evaluate", settings={"optimizer.lr": 0.1, "model": "resunet"}
    )
    [tracker] = open_trackers(offline_config(tags=["paper"]), description)
    tracker.close(failed=True)
    [run] = record.runs
    assert (run.name, run.group, run.job_type) == ("a run", "2026-01-01", "evaluate")
    assert (run.tags, run.notes) == (("paper",), "Phantom.")
    assert run.config["optimizer.lr"] == 0.1
    assert run.config["model"] == "resunet"
    assert Path(run.dir).is_relative_to(tmp_path / "run" / "wandb")
    assert record.exit_codes == [1]


def test_the_group_can_be_configured(record, tmp_path):
    description = make_description(tmp_path / "run", group="2026-01-01")
    open_trackers(offline_config(group="mine"), description)[0].close(failed=False)
    assert record.runs[0].group == "mine"


def test_disabled_writes_nothing(record, tmp_path):
    config = LoggerConfig(wandb=WandbConfig(mode="disabled"))
    [tracker] = open_trackers(config, make_description(tmp_path / "run"))
    tracker.log_epoch(EpochRecord(0, {"lr": 0.1}, [make_case()]))
    tracker.close(failed=False)
    assert list((tmp_path / "run").iterdir()) == []
