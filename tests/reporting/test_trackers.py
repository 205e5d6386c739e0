from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from lss_lightning.config.sections import LoggerConfig, WandbConfig
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.reporting import Case
from lss_lightning.reporting.trackers import (
    Epoch,
    RunDescription,
    SliceRow,
    TrackedResult,
    flat_settings,
    open_trackers,
    read_result,
)
from lss_lightning.reporting.trackers.wandb_start import RECORD, start
from tests.conftest import configure
from tests.reporting.tracking import ACCOUNT, Given, wandb_of_its_own

SIZE = 12, 10


@pytest.fixture
def given(tmp_path: Path) -> Iterator[Given]:
    with wandb_of_its_own(tmp_path / "apart") as given:
        yield given


def about(folder: Path, **more) -> RunDescription:
    folder.mkdir(exist_ok=True)
    plain = {
        "name": "a run",
        "job": "train",
        "group": None,
        "settings": {"model": "resunet"},
        "labels": LUMBAR,
        "note": "Phantom.",
    }
    return RunDescription(**{**plain, "folder": folder, **more})


def case(title="Patient 0001 D3", shift=0):
    rows = np.arange(SIZE[0])[:, None] // 2
    label = np.broadcast_to(rows, SIZE).astype(np.uint8)
    image = np.arange(np.prod(SIZE), dtype=np.uint8).reshape(*SIZE, 1)
    return Case(title=title, image=image, label=label, prediction=np.roll(label, shift, axis=0), iou=0.5)


def result(folder: Path, **more) -> TrackedResult:
    folder.mkdir(exist_ok=True)
    for name in ("confusion.png", "curves.png"):
        Image.new("RGB", (8, 6), "white").save(folder / name)
    (folder / "index.html").write_text("<html><head></head><body>Report</body></html>")
    (folder / "best.ckpt").write_bytes(b"weights")
    scores = np.array([0.9, 0.8, 0.7, 0.6, np.nan, 0.5])
    plain = {
        "figures": {"test/mean_iou": 0.7, "test/iou/thecal_sac": 0.6, "objective": 0.65},
        "confusion": np.arange(36).reshape(6, 6),
        "rows": [
            SliceRow("0001", "D3", scores, 0.7, case(shift=1)),
            SliceRow("0002", "D4", scores, np.nan, case(shift=2)),
        ],
        "pictures": {"confusion": folder / "confusion.png", "curves": folder / "curves.png"},
        "pages": {"index": folder / "index.html"},
        "checkpoint": folder / "best.ckpt",
        "card": None,
        "epoch": 3,
    }
    return TrackedResult(**{**plain, **more})


def offline(**more) -> LoggerConfig:
    return LoggerConfig(wandb=WandbConfig(mode="offline", **more))


def files(run, below: str) -> list[Path]:
    return sorted(path for path in (Path(run.dir) / "media" / below).rglob("*") if path.is_file())


def said(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("lss_lightning")]


def test_settings_lie_flat_under_the_keys_of_the_command_line():
    settings = flat_settings(
        configure("model=vgg16_unet", "optimizer=sgd", "split=kfold", "split.fold=2", "optimizer.lr=0.25").plain
    )
    wanted = {
        "model": "vgg16_unet",
        "encoder": "vgg16",
        "data": "phantom",
        "data.batch_size": 8,
        "optimizer": "SGD",
        "optimizer.lr": 0.25,
        "split": "KFoldSplit",
        "split.fold": 2,
        "seed": 0,
    }
    assert {key: settings[key] for key in wanted} == wanted
    assert not any(isinstance(value, dict) for value in settings.values())
    assert not any(key.startswith(("logger", "paths")) for key in settings)


def test_an_epochs_undefined_figures_are_left_out():
    epoch = Epoch.of({"epoch": 3.0, "val/iou/aap": np.nan, "lr": 0.1}, [])
    assert (epoch.number, epoch.figures) == (3, {"lr": 0.1})


def test_examples_have_label_and_prediction_as_layers_named_by_class(given, tmp_path):
    [tracker] = open_trackers(offline(), about(tmp_path / "run"))
    shown = case(shift=1)
    tracker.epoch(Epoch(4, {"val/mean_iou": 0.5}, [shown]))
    tracker.close(failed=False)
    [(row, step)] = given.rows
    assert (step, row["epoch"], row["val/mean_iou"]) == (4, 4, 0.5)
    [image] = row["val/slices"]
    assert image._caption == shown.title
    assert len(files(given.runs[0], "images/mask")) == 2
    for layer, wanted in {"label": shown.label, "prediction": shown.prediction}.items():
        mask = image._masks[layer]
        assert Path(mask._path) in files(given.runs[0], "images/mask")
        assert np.array_equal(np.asarray(Image.open(mask._path)), wanted)
        assert mask._val["class_labels"] == {index: label.name for index, label in enumerate(LUMBAR)}
    [picture] = files(given.runs[0], "images/val")
    assert np.array_equal(np.asarray(Image.open(picture)), shown.image[..., 0])


@pytest.mark.parametrize("known", [False, True])
def test_a_resumed_run_s_past_is_recorded_where_the_server_has_it_not(known, given, tmp_path):
    [tracker] = open_trackers(offline(), about(tmp_path / "run", resumed=True))
    tracker.run = SimpleNamespace(resumed=known, log=tracker.run.log, finish=tracker.run.finish)
    tracker.past([Epoch(0, {"lr": 0.1}), Epoch(1, {"lr": 0.2})])
    tracker.close(failed=False)
    assert [(row["lr"], step) for row, step in given.rows] == ([] if known else [(0.1, 0), (0.2, 1)])


def test_a_result_reaches_wandb_whole(given, tmp_path):
    [tracker] = open_trackers(offline(), about(tmp_path / "run"))
    tracker.epoch(Epoch(3, {"lr": 0.1}))
    tracker.result(result(tmp_path / "report"))
    tracker.close(failed=False)
    row, _ = given.rows[-1]
    assert (row["test/mean_iou"], row["objective"]) == (0.7, 0.65)
    assert {"figure/confusion", "figure/curves", "page/index", "test/confusion", "test/cases"} <= row.keys()
    [page] = files(given.runs[0], "html")
    assert "Report" in page.read_text()
    table = row["test/cases"]
    names = [label.name for label in LUMBAR]
    assert table.columns == ["Patient", "Level", "Mean IoU, anatomy", *names, "Slice"]
    assert [line[:4] for line in table.data] == [["0001", "D3", 0.7, 0.9], ["0002", "D4", None, 0.9]]
    assert table.data[0][3 + LUMBAR.keys.index("aap")] is None
    stored = [json.loads(path.read_text()) for path in files(given.runs[0], "table/test")]
    assert [table["columns"] for table in stored if "Patient" in table["columns"]] == [table.columns]
    cells = row["test/confusion"].table.data
    assert cells[1] == [names[0], names[1], 1]
    assert len(cells) == 36


def test_the_checkpoint_is_kept_with_its_figures_and_aliases(given, tmp_path):
    [tracker] = open_trackers(offline(), about(tmp_path / "run", name="resunet: fold 1"))
    card = tmp_path / "model-card.md"
    card.write_text("# Card")
    tracker.result(result(tmp_path / "report", card=card))
    tracker.close(failed=False)
    [(artifact, aliases)] = given.artifacts
    assert aliases == ["best", "epoch-3"]
    assert artifact.type == "model"
    assert artifact.name.startswith(f"resunet-fold-1-{given.runs[0].id}")
    assert artifact.metadata == {"epoch": 3, **result(tmp_path / "report").figures}
    assert set(artifact.manifest.entries) == {"best.ckpt", "model-card.md"}


@pytest.mark.parametrize("wanted", [{"checkpoint": None}, {}])
def test_no_checkpoint_is_kept_where_none_is_wanted(wanted, given, tmp_path):
    config = offline() if wanted else offline(checkpoint=False)
    [tracker] = open_trackers(config, about(tmp_path / "run"))
    tracker.result(result(tmp_path / "report", **wanted))
    tracker.close(failed=False)
    assert given.artifacts == []


def test_without_pictures_the_table_has_scores_only(given, tmp_path):
    [tracker] = open_trackers(offline(), about(tmp_path / "run"))
    rows = [SliceRow("0001", "D3", np.full(6, 0.5), 0.5, None)]
    tracker.result(result(tmp_path / "report", rows=rows))
    tracker.close(failed=False)
    assert "Slice" not in given.rows[0][0]["test/cases"].columns


def test_a_run_says_what_it_is(given, tmp_path):
    run = about(
        tmp_path / "run", group="2026-01-01", job="evaluate", settings={"optimizer.lr": 0.1, "model": "resunet"}
    )
    [tracker] = open_trackers(offline(tags=["paper"]), run)
    tracker.close(failed=True)
    [started] = given.runs
    assert (started.name, started.group, started.job_type) == ("a run", "2026-01-01", "evaluate")
    assert (started.tags, started.notes) == (("paper",), "Phantom.")
    assert started.config["optimizer.lr"] == 0.1
    assert started.config["model"] == "resunet"
    assert Path(started.dir).is_relative_to(tmp_path / "run" / "wandb")
    assert given.ends == [1]


def test_a_group_can_be_named(given, tmp_path):
    open_trackers(offline(group="mine"), about(tmp_path / "run", group="2026-01-01"))[0].close(failed=False)
    assert given.runs[0].group == "mine"


def test_disabled_leaves_nothing(given, tmp_path):
    [tracker] = open_trackers(LoggerConfig(wandb=WandbConfig(mode="disabled")), about(tmp_path / "run"))
    tracker.epoch(Epoch(0, {"lr": 0.1}, [case()]))
    tracker.close(failed=False)
    assert list((tmp_path / "run").iterdir()) == []


def test_without_an_account_the_run_is_recorded_offline(given, tmp_path, caplog):
    run = start(about(tmp_path / "run"), WandbConfig())
    assert run.offline
    [line] = said(caplog)
    assert line.startswith("wandb: no account found, which wandb login or WANDB_API_KEY gives; recorded offline")
    assert str(tmp_path / "run" / "wandb") in line
    run.log({"lr": 0.1})
    run.finish(exit_code=0)
    assert json.loads((tmp_path / "run" / RECORD).read_text())["sent"] is False


def test_a_key_that_is_none_is_said(given, tmp_path, caplog, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "short")
    run = start(about(tmp_path / "run"), WandbConfig())
    assert run.offline
    assert "WANDB_API_KEY" in said(caplog)[0]
    assert "\n" not in said(caplog)[0]
    run.finish(exit_code=0)


def test_without_a_network_the_run_is_recorded_offline(given, tmp_path, caplog, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but deaf, so that nobody else answers there
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        monkeypatch.setenv("WANDB_API_KEY", ACCOUNT)
        run = start(about(tmp_path / "run"), WandbConfig(timeout=3))
    assert run.offline
    [line] = said(caplog)
    assert line.startswith("wandb: lss_lightning cannot be reached (")
    assert "recorded offline" in line
    assert "\n" not in line
    run.log({"lr": 0.1})
    run.finish(exit_code=0)


class Refusing(BaseHTTPRequestHandler):
    """A server that knows the account but not the entity."""

    status = 403

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"errors": [{"message": "permission denied"}]}).encode()
        self.send_response(self.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture(params=[403, 404])
def refusing(request, monkeypatch) -> Iterator[str]:
    handler = type("Handler", (Refusing,), {"status": request.param})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("WANDB_API_KEY", ACCOUNT)
    yield str(request.param)
    server.shutdown()
    server.server_close()


def test_a_wrong_entity_is_named_and_the_run_recorded_offline(given, refusing, tmp_path, caplog):
    run = start(about(tmp_path / "run"), WandbConfig(entity="nobody", project="spines", timeout=10))
    assert run.offline
    [line] = said(caplog)
    assert line.startswith("wandb: nobody/spines cannot be reached (")
    assert refusing in line or "permission denied" in line
    run.finish(exit_code=0)


def test_a_resumed_run_keeps_its_identity(given, tmp_path):
    config = WandbConfig(mode="offline")
    for resumed in (False, True):
        start(about(tmp_path / "run", resumed=resumed), config).finish(exit_code=0)
    first, second = given.runs
    assert first.id == second.id
    assert len(list((tmp_path / "run" / "wandb").glob("offline-run-*"))) == 2


def test_a_new_run_in_a_known_folder_is_another(given, tmp_path):
    for _ in range(2):
        start(about(tmp_path / "run"), WandbConfig(mode="offline")).finish(exit_code=0)
    assert given.runs[0].id != given.runs[1].id


@pytest.mark.parametrize(
    ("changed", "says"),
    [({"project": "other"}, "logger.wandb.project=other"), ({"entity": "team"}, "logger.wandb.entity=team")],
)
def test_a_run_of_another_project_is_not_resumed(changed, says, given, tmp_path):
    start(about(tmp_path / "run"), WandbConfig(mode="offline")).finish(exit_code=0)
    kept = (tmp_path / "run" / RECORD).read_bytes()
    with pytest.raises(UserError) as refused:
        start(about(tmp_path / "run", resumed=True), WandbConfig(mode="offline", **changed))
    assert str(refused.value).startswith(says)
    assert given.runs[0].id in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "run" / RECORD).read_bytes() == kept
    assert len(given.runs) == 1


def test_tensorboard_holds_the_same(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    [tracker] = open_trackers(LoggerConfig(tensorboard=True), about(tmp_path / "run"))
    for number in (0, 1):
        tracker.epoch(Epoch(number, {"val/mean_iou": 0.5 + number / 10}, [case(shift=1)]))
    tracker.result(result(tmp_path / "report"))
    tracker.close(failed=False)
    found = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"tensors": 0, "images": 0})
    found.Reload()
    tags = found.Tags()
    assert {"val/mean_iou", "test/iou/thecal_sac", "hparam/objective"} <= set(tags["scalars"])
    assert [(event.step, round(event.value, 6)) for event in found.Scalars("val/mean_iou")] == [(0, 0.5), (1, 0.6)]
    assert {"val/slices", "figure/confusion", "figure/curves"} <= set(tags["images"])
    assert [event.step for event in found.Images("val/slices")] == [0, 1]
    [text] = found.Tensors("test/cases/text_summary")
    assert "| 0001 | D3 | 0.700 | 0.900 |" in text.tensor_proto.string_val[0].decode()
    settings = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"resunet" in settings


def test_what_a_test_has_left_is_read(tmp_path):
    report = tmp_path / "report"
    result(report)
    scores = {key: None if key == "aap" else 0.5 for key in LUMBAR.keys}
    metrics = {"mean_iou": 0.5, "mean_iou_anatomy": None, "iou": scores, "dice": scores}
    metrics["validation"] = {"objective": 0.4, "epoch": 7}
    metrics["folds"] = {kind: {"mean_iou": 0.3, "mean_iou_anatomy": None} for kind in ("mean", "sd")}
    (tmp_path / "metrics.json").write_text(json.dumps(metrics))
    read = read_result(tmp_path, confusion=np.eye(6, dtype=np.int64), rows=[], checkpoint=None)
    assert read.figures["objective"] == 0.4
    assert read.figures["test/dice/other"] == 0.5
    assert {name for name in read.figures if name.startswith("folds")} == {"folds/mean/mean_iou", "folds/sd/mean_iou"}
    assert not {"test/iou/aap", "test/mean_iou_anatomy"} & read.figures.keys()
    assert read.epoch == 7
    assert list(read.pages) == ["index"]
    assert list(read.pictures) == ["confusion", "curves"]
