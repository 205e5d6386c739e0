from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from lss_lightning.config.reproduce import composed_training, reproduce_config
from lss_lightning.config.train import train_config
from lss_lightning.workflows import train
from tests.browser import PHONE, Open
from tests.conftest import compose_command
from tests.workflows.test_commands import command
from tests.workflows.test_train import rows

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


def plan(*overrides: str):
    cfg, hydra = compose_command("reproduce", *overrides)
    return reproduce_config(cfg, hydra.runtime.choices, hydra.overrides.task)


def test_the_paper_s_size_is_its_table_1_for_every_model_protocol_and_seed():
    config = plan("data=alkafri", "data.root=/data/lss", "data.channels=t2", "trainer=gpu")
    assert len(config.trainings) == 27
    names = [training.name for training in config.trainings]
    assert names[:4] == [
        "resunet-resubstitution-seed0",
        "resunet-image-seed0",
        "resunet-patient-seed0",
        "inception_unet-resubstitution-seed0",
    ]
    encoders = {"resunet": "resnet34", "inception_unet": "inception_v3", "vgg16_unet": "vgg16"}
    for training in config.trainings[::5]:
        made = train_config(*composed_training(training))
        assert (made.name, made.seed, made.split.protocol) == (training.name, training.seed, training.protocol)
        assert (made.data.name, made.data.root, made.data.channels) == ("alkafri", "/data/lss", "t2")
        assert (made.optimizer["lr"], made.data.batch_size, made.trainer.max_epochs) == (0.0001, 8, 200)
        assert (made.encoder.name, made.trainer.accelerator) == (encoders[training.model], "gpu")
        assert getattr(made.split, "seed", training.seed) == training.seed


def test_single_values_of_the_user_win_over_the_size_s():
    config = plan("reproduce.size=small", "trainer.max_epochs=3", "data.patients=12", "reproduce.models=[vgg16_unet]")
    assert [training.model for training in config.trainings] == ["vgg16_unet"] * 3
    made = train_config(*composed_training(config.trainings[0]))
    assert (made.trainer.max_epochs, made.data.patients) == (3, 12)
    assert config.data.patients == 12


def test_the_data_is_that_of_the_trainings():
    data = plan("data=phantom", "reproduce.size=small").data
    made = train_config(*composed_training(plan("data=phantom", "reproduce.size=small").trainings[-1])).data
    assert (data.patients, data.image_size) == (made.patients, made.image_size) == (40, 96)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("reproduced")


@pytest.fixture(scope="module")
def settings(place) -> tuple[str, ...]:
    """A reproduction on a tiny phantom with a light encoder."""
    tiny = ",".join(f"'{text}'" for text in TINY)
    return (
        "data=phantom",
        "reproduce.size=small",
        f"reproduce.sizes.small.overrides=[{tiny}]",
        "reproduce.models=[resunet,vgg16_unet]",
        "trainer=cpu",
        "callbacks=quiet",
        f"paths.data={place / 'data'}",
        f"paths.logs={place / 'logs'}",
    )


def folders(place: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted((place / "logs/reproduce/phantom-small/runs").iterdir())}


def written(place: Path) -> dict[str, int]:
    """When each run's last checkpoint was written."""
    last = {name: folder / "checkpoints/last.ckpt" for name, folder in folders(place).items()}
    return {name: path.stat().st_mtime_ns for name, path in last.items() if path.is_file()}


def reproduce(place: Path, name: str, *line: str):
    return command("reproduce.py", *line, f"hydra.run.dir={place}/logs/reproduce/phantom-small/{name}")


INTERRUPTED, NEVER_BEGUN = "resunet-patient-seed0", "vgg16_unet-image-seed0"


@pytest.fixture(scope="module")
def begun(place, settings) -> dict[str, int]:
    """Runs that an earlier start has left: four finished, one interrupted before its test, one killed before its
    first epoch had ended."""
    for training in plan(*settings).trainings:
        cfg, choices = composed_training(training)
        folder = place / "logs/reproduce/phantom-small/runs" / training.name
        (folder / ".hydra").mkdir(parents=True)
        OmegaConf.save(cfg, folder / ".hydra/config.yaml")
        if training.name != NEVER_BEGUN:
            train.run(train_config(cfg, choices), folder)
    (folders(place)[INTERRUPTED] / "metrics.json").unlink()
    return written(place)


@pytest.fixture(scope="module")
def done(place, settings, begun):
    """The command, started again, and what it printed."""
    ended = reproduce(place, "first", *settings)
    assert ended.returncode == 0, ended.stderr
    return ended


@pytest.fixture(scope="module")
def report(place, done) -> Path:
    return place / "logs/reproduce/phantom-small/first/report"


def test_started_again_it_keeps_what_is_finished_and_goes_on_with_what_is_not(place, begun, done):
    assert done.stdout.count(": kept, ") == 4
    runs = folders(place)
    assert list(runs) == sorted({*begun, NEVER_BEGUN})  # none has been begun anew beside another
    assert (runs[INTERRUPTED] / "metrics.json").is_file()
    assert (runs[INTERRUPTED] / ".hydra/resume-1").is_dir()
    assert (runs[NEVER_BEGUN] / "metrics.json").is_file()
    now = written(place)
    assert now.pop(NEVER_BEGUN)
    assert now == begun


def test_every_model_is_trained_under_every_protocol(place, done):
    protocols = ("image", "patient", "resubstitution")
    assert list(folders(place)) == [f"{m}-{p}-seed0" for m in ("resunet", "vgg16_unet") for p in protocols]
    for name, folder in folders(place).items():
        about = json.loads((folder / "metrics.json").read_text())["data"]
        assert about["protocol"] == name.split("-")[1]


def test_pages_hold_every_section(report, open_page: Open):
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
    assert "Of them seen in training" in text


def test_what_the_protocol_does_to_the_number(place, report):
    effects = [row for row in rows(report / "reproduction/effects.csv") if row["score"]]
    contrasts = list(dict.fromkeys(row["contrast"] for row in effects))
    assert [contrast.partition(",")[0] for contrast in contrasts] == [
        "Resubstitution − patient",
        "Resubstitution − patient",
        "Image − patient",
    ]
    assert "paired" in contrasts[0]
    runs = folders(place)
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
    half, one, two = (float(sac[f"Moved by {distance} px"]) for distance in ("0.5", "1", "2"))
    assert 1 > half > one > two > 0
    assert "IoU of 60 labels with themselves" in (report / "reproduction.md").read_text()


def test_other_settings_are_other_runs_and_a_training_that_fails_does_not_lose_the_others(place, settings, done):
    failing = folders(place)["vgg16_unet-patient-seed0"]
    (failing / "metrics.json").unlink()
    (failing / "checkpoints/last.ckpt").write_text("no checkpoint")
    other = ("reproduce.protocols=[resubstitution,patient]", "data.batch_size=6", "reproduce.models=[resunet]")
    ended = reproduce(place, "other", *settings, *other)
    assert ended.returncode == 0, ended.stderr
    assert ": kept, " not in ended.stdout
    assert {"resunet-resubstitution-seed0-2", "resunet-patient-seed0-2"} < folders(place).keys()

    ended = reproduce(place, "failing", *settings)
    assert ended.returncode == 2
    assert "truncated, or no checkpoint" in ended.stderr
    assert "error: 1 of 6 trainings failed (vgg16_unet-patient-seed0: exit code 2)" in ended.stderr
    assert "Traceback" not in ended.stderr
    report = place / "logs/reproduce/phantom-small/failing/report"
    assert "Missing: vgg16_unet-patient-seed0: exit code 2." in (report / "reproduction.md").read_text()
    with (report / "reproduction/effects.csv").open(newline="", encoding="utf-8") as stream:
        assert {row["model"] for row in csv.DictReader(stream) if row["model"]} == {"resunet"}
