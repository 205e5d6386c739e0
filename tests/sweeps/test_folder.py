from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from lss_lightning.config.sections import config_folder
from lss_lightning.errors import UserError
from lss_lightning.sweeps.folder import SWEEP_FILE, begin_sweep, expand_sweep_argument, find_sweep_name


@pytest.fixture
def sweep(tmp_path):
    folder = tmp_path / "train" / "resunet" / "2030-01-02_03-04-05"
    folder.mkdir(parents=True)
    stored = {
        "task": ["optimizer.lr=0.1,0.2", "data.patients=10"],
        "params": {},
        "hydra": ["hydra.sweep.dir=there", "hydra/launcher=basic", "hydra.mode=MULTIRUN", "hydra.verbose=true"],
        "flags": ["--config-dir=mine"],
    }
    OmegaConf.save(OmegaConf.create(stored), folder / SWEEP_FILE)
    return folder


def compose_sweep(*overrides):
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        return compose("train", overrides=[*overrides, "data.root=mine"], return_hydra_config=True)


@pytest.mark.parametrize("line", [[], ["seed=1"], ["-m", "seed=1,2"], ["sweep=null"], ["sweep=("]])
def test_other_command_lines_are_unchanged(line):
    assert expand_sweep_argument(line) == line


@pytest.mark.parametrize("more", [[], ["-m"], ["--multirun"]])
def test_a_sweep_is_resumed_with_its_own_command_line_in_its_own_directory(sweep, more):
    assert expand_sweep_argument([f"sweep={sweep}", "--config-dir=mine", *more]) == [
        "-m",
        "hydra/launcher=basic",
        "hydra.verbose=true",
        "--config-dir=mine",
        f"hydra.sweep.dir='{sweep}'",
        "optimizer.lr=0.1,0.2",
        "data.patients=10",
    ]


def test_a_sweep_is_resumed_in_the_directory_where_it_was_started(sweep, tmp_path, monkeypatch, capsys):
    stored = OmegaConf.load(sweep / SWEEP_FILE)
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "train")
    for origin, expected in ((tmp_path / "home", tmp_path / "home"), (tmp_path / "gone", tmp_path / "train")):
        monkeypatch.chdir(tmp_path / "train")
        OmegaConf.save({**stored, "cwd": str(origin)}, sweep / SWEEP_FILE)
        arguments = expand_sweep_argument(["sweep=resunet/2030-01-02_03-04-05", "--config-dir=mine"])
        assert Path.cwd() == expected
        assert f"hydra.sweep.dir='{sweep}'" in arguments
    assert capsys.readouterr().out.count(f"continues in {tmp_path / 'home'}, where it was started") == 1


def test_the_command_line_of_a_sweep_is_refused_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    begin_sweep(compose_sweep("hydra.sweep.dir=../sweep"), ["name"])
    monkeypatch.chdir(tmp_path)
    cfg = compose_sweep("hydra.sweep.dir=sweep")
    with pytest.raises(UserError, match=rf"sweep: a sweep that was started in {tmp_path / 'home'}, to which its rel"):
        begin_sweep(cfg, ["name"])
    (tmp_path / "home").rmdir()
    begin_sweep(cfg, ["name"])


def test_hydra_settings_may_change(sweep):
    changes = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    arguments = expand_sweep_argument([f"sweep={sweep}", "--config-dir=mine", *changes])
    assert "hydra/launcher=joblib" in arguments
    assert "hydra.launcher.n_jobs=2" in arguments
    assert "hydra/launcher=basic" not in arguments


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["sweep=nowhere"], "sweep=nowhere: not a sweep directory"),
        (["sweep={0}", "seed=3"], "seed=3: a resumed sweep keeps its settings"),
        (["sweep={0}", "model=resunet"], "model=resunet: a resumed sweep keeps"),
        (["sweep={0}", "hydra.sweep.dir=other"], "hydra.sweep.dir=other: a sweep is resumed in its own directory"),
        (["sweep={0}"], "started with --config-dir=mine, whose files can run code; if you trust them, add this flag"),
    ],
)
def test_settings_of_another_sweep_are_refused(line, message, sweep):
    with pytest.raises(UserError, match=message):
        expand_sweep_argument([text.format(sweep) for text in line])


def test_the_sweep_of_a_run_is_found(sweep, monkeypatch):
    monkeypatch.chdir(sweep)
    assert find_sweep_name(sweep / "3") == "resunet/2030-01-02_03-04-05"
    (sweep / "3").mkdir()
    monkeypatch.chdir(sweep / "3")
    assert find_sweep_name(sweep.parent / "alone") is None
