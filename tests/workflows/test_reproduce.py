from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lss_lightning.config.reproduce import compose_training
from lss_lightning.config.train import build_train_config
from lss_lightning.workflows import train
from tests.browser import PHONE, Open
from tests.conftest import plan_reproduction
from tests.workflows.processes import command
from tests.workflows.quick_runs import rows

TINY = (
    "encoder=timm",
    "encoder.name=test_resnet",
    "model.decoder_channels=[32,16,16,8,8]",
    "data.patients=20",
    "data.image_size=64",
    "data.num_workers=0",
    "data.batch_size=4",
    "trainer.max_epochs=2",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("reproduced")


@pytest.fixture(scope="module")
def settings(root) -> tuple[str, ...]:
    """A reproduction on a tiny phantom with a light encoder."""
    tiny = ",".join(f"'{text}'" for text in TINY)
    return (
        "data=phantom",
        "reproduce.size=small",
        f"reproduce.sizes.small.overrides=[{tiny}]",
        "reproduce.models=[resunet,vgg16_unet]",
        "trainer=cpu",
        "callbacks=quiet",
        f"paths.data={root / 'data'}",
        f"paths.logs={root / 'logs'}",
    )


def folders(root: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted((root / "logs/reproduce/phantom-small/runs").iterdir())}


def checkpoint_times(root: Path) -> dict[str, int]:
    """Return when the last checkpoint of each run was written."""
    last = {name: folder / "checkpoints/last.ckpt" for name, folder in folders(root).items()}
    return {name: path.stat().st_mtime_ns for name, path in last.items() if path.is_file()}


def reproduce(root: Path, name: str, *line: str):
    return command("reproduce.py", *line, f"hydra.run.dir={root}/logs/reproduce/phantom-small/{name}")


INTERRUPTED, UNSTARTED = "resunet-patient-seed0", "vgg16_unet-image-seed0"


@pytest.fixture(scope="module")
def earlier(root, settings) -> dict[str, int]:
    """The runs of an earlier command: four finished, one interrupted before its test, one killed in its first epoch."""
    for training in plan_reproduction(*settings).trainings:
        cfg, choices = compose_training(training)
        folder = root / "logs/reproduce/phantom-small/runs" / training.name
        (folder / ".hydra").mkdir(parents=True)
        OmegaConf.save(cfg, folder / ".hydra/config.yaml")
        if training.name != UNSTARTED:
            train.run(build_train_config(cfg, choices), folder)
    (folders(root)[INTERRUPTED] / "metrics.json").unlink()
    return checkpoint_times(root)


@pytest.fixture(scope="module")
def done(root, settings, earlier):
    """Run the command again, and return its process with the output."""
    ended = reproduce(root, "first", *settings)
    assert ended.returncode == 0, ended.stderr
    return ended


@pytest.fixture(scope="module")
def report(root, done) -> Path:
    return root / "logs/reproduce/phantom-small/first/report"


def test_the_command_keeps_finished_runs_and_resumes_the_others(root, earlier, done):
    assert done.stdout.count(": kept, ") == 4
    runs = folders(root)
    assert list(runs) == sorted({*earlier, UNSTARTED})  # no run has been started twice
    assert (runs[INTERRUPTED] / "metrics.json").is_file()
    assert (runs[INTERRUPTED] / ".hydra/resume-1").is_dir()
    assert (runs[UNSTARTED] / "metrics.json").is_file()
    now = checkpoint_times(root)
    assert now.pop(UNSTARTED)
    assert now == earlier


def test_every_model_is_trained_under_every_protocol(root, done):
    protocols = ("image", "patient", "resubstitution")
    assert list(folders(root)) == [f"{m}-{p}-seed0" for m in ("resunet", "vgg16_unet") for p in protocols]
    for name, folder in folders(root).items():
        about = json.loads((folder / "metrics.json").read_text())["data"]
        assert about["protocol"] == name.split("-")[1]


def test_report_has_every_section(report, open_page: Open):
    opened = open_page(report / "index.html", PHONE)
    assert opened.sections == [
        *("about", "protocols", "table-2-resubstitution", "table-2-image", "table-2-patient"),
        *("differences", "figure-12", "figure-13", "table-1", "table-3"),
    ]
    assert (opened.errors, opened.requests, opened.overflow) == ([], [], 0)


def test_markdown_and_its_files_can_be_copied(report, tmp_path):
    text = (report / "reproduction.md").read_text()
    named = {part.partition(")")[0] for part in text.split("](")[1:]}
    assert named == {f"reproduction/{name}.png" for name in ("protocols", "figure12", "figure13")}
    assert all((report / name).is_file() for name in named)
    assert "Phantom data: no clinical meaning" in text
    assert str(report) not in text
    assert "Seen in training" in text


def test_protocol_effects_are_differences_of_scores(root, report):
    effects = [row for row in rows(report / "reproduction/effects.csv") if row["score"]]
    contrasts = list(dict.fromkeys(row["contrast"] for row in effects))
    assert [contrast.partition(",")[0] for contrast in contrasts] == [
        "Resubstitution − patient",
        "Resubstitution − patient",
        "Image − patient",
    ]
    assert "paired" in contrasts[0]
    runs = folders(root)
    metrics = {name: json.loads((folder / "metrics.json").read_text()) for name, folder in runs.items()}
    tested = next(row for row in effects if row["contrast"] == contrasts[2] and row["score"] == "Thecal Sac")
    difference = [metrics[f"resunet-{protocol}-seed0"]["iou"]["thecal_sac"] for protocol in ("image", "patient")]
    assert float(tested["difference"]) == pytest.approx(difference[0] - difference[1], abs=1e-6)

    seen = next(
        line for line in (report / "reproduction.md").read_text().splitlines() if line.startswith("| patient |")
    )
    assert seen.endswith("| 0 (0 %) |")
    ceiling = rows(report / "reproduction/ceiling.csv")
    sac = next(row for row in ceiling if row["Class"] == "Thecal Sac")
    half, one, two = (float(sac[f"Shifted by {distance} px"]) for distance in ("0.5", "1", "2"))
    assert 1 > half > one > two > 0
    assert "IoU of 60 labels with themselves" in (report / "reproduction.md").read_text()


def test_other_settings_start_new_runs_and_a_failed_training_does_not_affect_the_others(root, settings, done):
    failing = folders(root)["vgg16_unet-patient-seed0"]
    (failing / "metrics.json").unlink()
    (failing / "checkpoints/last.ckpt").write_text("no checkpoint")
    other = ("reproduce.protocols=[resubstitution,patient]", "data.batch_size=6", "reproduce.models=[resunet]")
    ended = reproduce(root, "other", *settings, *other)
    assert ended.returncode == 0, ended.stderr
    assert ": kept, " not in ended.stdout
    assert {"resunet-resubstitution-seed0-2", "resunet-patient-seed0-2"} < folders(root).keys()

    ended = reproduce(root, "failing", *settings)
    assert ended.returncode == 2
    assert "truncated, or not a checkpoint" in ended.stderr
    assert "error: 1 of 6 trainings failed (vgg16_unet-patient-seed0: exit code 2)" in ended.stderr
    assert "Traceback" not in ended.stderr
    report = root / "logs/reproduce/phantom-small/failing/report"
    assert "Missing: vgg16_unet-patient-seed0: exit code 2." in (report / "reproduction.md").read_text()
    with (report / "reproduction/effects.csv").open(newline="", encoding="utf-8") as stream:
        assert {row["model"] for row in csv.DictReader(stream) if row["model"]} == {"resunet"}
