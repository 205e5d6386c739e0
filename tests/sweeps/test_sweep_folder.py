from __future__ import annotations

import pytest
from omegaconf import OmegaConf

from lss_lightning.errors import UserError
from lss_lightning.sweeps.folder import SWEEP, resumed_sweep, sweep_of


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
    OmegaConf.save(OmegaConf.create(stored), folder / SWEEP)
    return folder


@pytest.mark.parametrize("line", [[], ["seed=1"], ["-m", "seed=1,2"], ["sweep=null"], ["sweep=("]])
def test_other_command_lines_pass_as_they_are(line):
    assert resumed_sweep(line) == line


@pytest.mark.parametrize("more", [[], ["-m"], ["--multirun"]])
def test_a_sweep_is_taken_up_by_its_own_command_line_in_its_own_folder(sweep, more):
    assert resumed_sweep([f"sweep={sweep}", *more]) == [
        "-m",
        "--config-dir=mine",
        "hydra/launcher=basic",
        "hydra.verbose=true",
        f"hydra.sweep.dir='{sweep}'",
        "optimizer.lr=0.1,0.2",
        "data.patients=10",
    ]


def test_hydra_s_settings_may_change(sweep):
    arguments = resumed_sweep([f"sweep={sweep}", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])
    assert "hydra/launcher=joblib" in arguments
    assert "hydra.launcher.n_jobs=2" in arguments
    assert "hydra/launcher=basic" not in arguments


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["sweep=nowhere"], "sweep=nowhere: no sweep's folder"),
        (["sweep={0}", "seed=3"], "seed=3: a sweep that is taken up again keeps its settings"),
        (["sweep={0}", "model=resunet"], "model=resunet: a sweep that is taken up again keeps"),
        (["sweep={0}", "hydra.sweep.dir=other"], "hydra.sweep.dir=other: a sweep goes on in its own folder"),
    ],
)
def test_what_would_make_it_another_sweep_is_refused(line, says, sweep):
    with pytest.raises(UserError, match=says):
        resumed_sweep([text.format(sweep) for text in line])


def test_a_run_knows_its_sweep(sweep, monkeypatch):
    monkeypatch.chdir(sweep)
    assert sweep_of(sweep / "3") == "resunet/2030-01-02_03-04-05"
    (sweep / "3").mkdir()
    monkeypatch.chdir(sweep / "3")
    assert sweep_of(sweep.parent / "alone") is None
