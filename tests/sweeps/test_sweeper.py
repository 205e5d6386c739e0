"""Searches with jobs that are not trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from lss_lightning.config.sections import config_folder
from lss_lightning.errors import UserError
from lss_lightning.runs.layout import RunFolder
from lss_lightning.sweeps.job_records import DIVERGED, FAILED, FINISHED, PRUNED, read_record
from tests.sweeps.fake_sweeps import make_job

optuna = pytest.importorskip("optuna", reason="pip install -e .[optuna]")
from lss_lightning.sweeps.search import SearchConfig  # noqa: E402
from lss_lightning.sweeps.sweeper import OptunaSweeper  # noqa: E402

GRID = ["optimizer.lr=choice(0.001,0.01,0.1,0.2,0.5)", "data.batch_size=range(2,9,2)"]
SPACE = ["optimizer.lr=tag(log, interval(0.001, 1.0))", "data.batch_size=range(2, 9, 2)", "loss=choice(focal,dice)"]
SAMPLERS = sorted(path.stem for path in (config_folder() / "hydra/sweeper/sampler").glob("*.yaml"))


class Killed(BaseException):
    """The end of the process that runs the search."""


class FakeLauncher:
    """Finishes each job with the objective 1 - lr, or as `states` says, and is killed before job `killed_at`."""

    def __init__(self, folder: Path, states: dict[str, str] | None = None, killed_at: int | None = None) -> None:
        self.folder, self.states, self.killed_at = folder, states or {}, killed_at
        self.batches: list[list[str]] = []

    def launch(self, jobs: list[list[str]], initial_job_idx: int) -> list[Any]:
        self.batches.append([])
        return [self._run(overrides) for overrides in jobs]

    def _run(self, overrides: list[str]) -> Any:
        values: dict[str, Any] = {
            override.get_key_element(): override.value()
            for override in OverridesParser.create().parse_overrides(overrides)
        }
        name = str(values["hydra.sweep.subdir"])
        folder = self.folder / name
        if values["hydra.sweeper.trial"] == self.killed_at:
            raise Killed
        task = [text for text in overrides if not text.startswith("hydra")]
        kept = read_record(folder)
        if kept is None or kept.state == FAILED:
            state = self.states.get(name, FINISHED)
            if kept is not None:
                RunFolder(folder).job_record.unlink()
                folder.rename(folder.with_name(f"earlier-{name}"))
            make_job(
                self.folder, name, task, 1 - float(values["optimizer.lr"]), state, None if state == FINISHED else "x"
            )
        else:
            assert kept.overrides == task
        self.batches[-1].append(name)
        return SimpleNamespace(
            return_value=None,
            hydra_cfg=SimpleNamespace(hydra=SimpleNamespace(runtime=SimpleNamespace(output_dir=str(folder)))),
        )


@pytest.fixture(autouse=True)
def _hydra() -> Iterator[None]:
    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        yield


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "resunet" / "2030-01-02"
    path.mkdir(parents=True)
    return path


def search(folder: Path, *settings: str, space: Sequence[str] = SPACE, **launcher: Any) -> FakeLauncher:
    """Run a search, and return its launcher."""
    overrides = ["hydra/sweeper=optuna", f"hydra.sweep.dir='{folder}'", *settings]
    sweeper = OptunaSweeper()
    sweeper.config = compose("train", overrides=overrides, return_hydra_config=True)
    fake = FakeLauncher(folder, **launcher)
    sweeper.launcher = fake  # type: ignore[assignment]
    sweeper.sweep(list(space))
    return fake


def read_trials(folder: Path, *settings: str) -> list[Any]:
    config = compose(
        "train",
        overrides=["hydra/sweeper=optuna", f"hydra.sweep.dir='{folder}'", *settings],
        return_hydra_config=True,
    )
    trials: list[Any] = SearchConfig.from_hydra(config.hydra).open_study().trials
    return trials


def outcomes(folder: Path, *settings: str) -> list[Any]:
    return [(trial.params, trial.value, trial.state.name) for trial in read_trials(folder, *settings)]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_search_that_was_killed_and_resumed_has_the_trials_of_an_uninterrupted_one(sampler, tmp_path):
    settings = [f"hydra/sweeper/sampler={sampler}", "hydra.sweeper.n_trials=14"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for path in (whole, parts):
        path.mkdir()
    space = GRID if sampler == "grid" else SPACE
    search(whole, *settings, space=space)
    for trial in (0, 5, 12):
        with pytest.raises(Killed):
            search(parts, *settings, space=space, killed_at=trial)
    resumed = search(parts, *settings, space=space)
    assert resumed.batches == [["12"], ["13"]]
    assert outcomes(parts, *settings) == outcomes(whole, *settings)
    assert {state for _, _, state in outcomes(whole, *settings)} == {"COMPLETE"}
    assert [trial.user_attrs["job"] for trial in read_trials(parts, *settings)] == list(map(str, range(14)))
    values = {trial.params["optimizer.lr"] for trial in read_trials(whole, *settings)}
    assert len(values) >= 10 or sampler == "grid"


def test_the_seed_chooses_the_trials(tmp_path):
    found = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        search(tmp_path / name, "hydra.sweeper.n_trials=3", f"hydra.sweeper.sampler.seed={seed}")
        found[name] = [trial.params for trial in read_trials(tmp_path / name)]
    assert found["a"] == found["b"] != found["c"]


def test_outcomes_of_jobs_are_those_of_trials(folder, capsys):
    states = {"1": DIVERGED, "2": PRUNED, "3": FAILED}
    launcher = search(folder, "hydra.sweeper.n_trials=5", states=states)
    assert launcher.batches == [["0"], ["1"], ["2"], ["3"], ["4"]]
    trials = read_trials(folder)
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL", "COMPLETE"]
    assert trials[0].value == 1 - trials[0].params["optimizer.lr"]
    assert trials[1].value == 0
    assert [trial.user_attrs.get("reason") for trial in trials] == [None, "x", "x", "x", None]

    # Resuming repeats the failed trial in its directory, and nothing else.
    assert search(folder, "hydra.sweeper.n_trials=5").batches == [["3"]]
    trials = read_trials(folder)
    assert len(trials) == 6
    assert trials[5].params == trials[3].params
    assert (trials[5].user_attrs["job"], trials[5].state.name) == ("3", "COMPLETE")
    assert search(folder, "hydra.sweeper.n_trials=5").batches == []
    assert search(folder, "hydra.sweeper.n_trials=6").batches == [["6"]]
    assert capsys.readouterr().err == ""


def test_trials_are_started_together_by_n_jobs(folder):
    launcher = search(folder, "hydra.sweeper.n_trials=5", "hydra.sweeper.n_jobs=2")
    assert launcher.batches == [["0", "1"], ["2", "3"], ["4"]]


def test_a_search_ends_when_too_many_trials_fail(folder, capsys):
    settings = ["hydra.sweeper.n_trials=6", "hydra.sweeper.n_jobs=2", "hydra.sweeper.max_failure_rate=0.5"]
    launcher = search(folder, *settings, states={"0": FAILED, "2": FAILED, "3": FAILED})
    assert launcher.batches == [["0", "1"], ["2", "3"]]
    assert capsys.readouterr().err.startswith(
        "error: 2 of 2 trials failed, more than hydra.sweeper.max_failure_rate=0.5"
    )


def test_a_grid_ends_after_its_last_combination(folder):
    space = ["optimizer.lr=0.1,0.2", "seed=1,2"]
    launcher = search(folder, "hydra/sweeper/sampler=grid", "hydra.sweeper.n_trials=50", space=space)
    assert launcher.batches == [["0"], ["1"], ["2"], ["3"]]
    assert len({str(trial.params) for trial in read_trials(folder)}) == 4


def test_a_sampler_that_cannot_sample_the_space_is_a_mistake_of_the_user(folder):
    with pytest.raises(UserError, match=r"hydra.sweeper: Optuna cannot sample these settings \(.*step"):
        search(folder, "hydra/sweeper/sampler=grid")


def test_sweeps_that_share_a_study_resume_their_own_trials(tmp_path):
    storage = [f"hydra.sweeper.storage='sqlite:///{tmp_path}/shared.db'", "hydra.sweeper.study_name=shared"]
    first, second = tmp_path / "first", tmp_path / "second"
    for path in (first, second):
        path.mkdir()
    with pytest.raises(Killed):
        search(first, *storage, "hydra.sweeper.n_trials=3", killed_at=1)
    assert search(second, *storage, "hydra.sweeper.n_trials=2").batches == [["2"], ["3"]]
    assert search(first, *storage, "hydra.sweeper.n_trials=3").batches == [["1"], ["4"]]
    assert [trial.user_attrs["sweep"] for trial in read_trials(first, *storage)] == [
        *["first"] * 2,
        *["second"] * 2,
        "first",
    ]
    assert not (first / "optuna.db").exists()


def test_a_search_is_resumed_after_its_directory_was_moved(tmp_path):
    old, new = tmp_path / "old", tmp_path / "a?b #%{c} d"
    old.mkdir()
    search(old, "hydra.sweeper.n_trials=2")
    old.rename(new)
    assert search(new, "hydra.sweeper.n_trials=3").batches == [["2"]]
    assert (new / "optuna.db").is_file()


def test_only_one_process_runs_a_search(folder):
    with RunFolder(folder).locked(), pytest.raises(UserError, match="another process is training there"):
        search(folder)


@pytest.mark.parametrize("storage", ["mysql://x", "sqlite:////no/such/folder/x.db", "nonsense", "redis://x"])
def test_a_storage_that_cannot_be_opened_is_a_mistake_of_the_user(storage, folder):
    with pytest.raises(UserError, match=r"hydra.sweeper.storage: cannot be opened \(.*give the URL of a database"):
        search(folder, f"hydra.sweeper.storage='{storage}'")


def test_a_file_that_is_no_database_is_a_mistake_of_the_user(folder):
    (folder / "optuna.db").write_text("text " * 100)
    with pytest.raises(UserError, match=r"optuna.db: cannot be opened \("):
        search(folder)
