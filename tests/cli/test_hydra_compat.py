"""Contracts with Hydra and OmegaConf: each test provokes a real error and checks the line that describes it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator

import pytest
from hydra import compose, initialize_config_dir
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import MissingConfigException
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lss_lightning.cli.hydra_compat import (
    describe_error,
    exit_on_callback_error,
    move_flags_first,
    start_hydra,
    translate_errors,
)
from lss_lightning.cli.plugins import OPTUNA_SWEEPER, PLUGIN_EXTRAS, register_sweeper
from lss_lightning.config.sections import config_folder
from lss_lightning.errors import UserError


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """Undo the logging configuration that Hydra sets up in this process, for the tests that run after these."""
    root = logging.getLogger()
    loggers = [logger for logger in logging.root.manager.loggerDict.values() if isinstance(logger, logging.Logger)]
    before = [(logger, logger.disabled, logger.level, logger.propagate) for logger in (root, *loggers)]
    handlers = list(root.handlers)
    yield
    for logger, disabled, level, propagate in before:
        logger.disabled, logger.level, logger.propagate = disabled, level, propagate
    root.handlers[:] = handlers
    logging.root.manager._clear_cache()  # type: ignore[attr-defined]  # the levels that loggers have cached


def describe(*overrides, command="train", chosen=()):
    """Return the description of the error that Hydra raises for a command line."""

    def resolve():
        with initialize_config_dir(str(config_folder()), version_base="1.3"):
            cfg = compose(command, overrides=[*chosen, *overrides])
        OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)

    with pytest.raises(UserError) as refused, translate_errors(command, overrides):
        resolve()
    assert refused.value.__cause__ is not None
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("override", "description"),
    [
        ("foo", "foo: not a setting; give key=value"),
        ("data.root=~/x", "data.root=~/x: not a setting; quote the value twice: 'data.root=\"~/x\"'"),
        ('data.root="a', 'data.root="a: not a setting; give key=value'),
        ("encoder=resnet43", "encoder=resnet43: unknown; did you mean 'resnet34' or 'resnet18' or 'resnet50'?"),
        ("split=patients", "split=patients: unknown; did you mean 'patient'?; allowed: file, image, kfold, patient, "),
        ("hydra/launcher=slurm", "hydra/launcher=slurm: unknown; allowed: basic"),
        ("data.batchsize=4", "data.batchsize: no such setting; did you mean 'data.batch_size'?; allowed in data: "),
        ("lr=0.1", "lr: no such setting; did you mean 'optimizer.lr' or 'augmentation.blur'?; allowed: augmentation, "),
        ("~data.batchsize", "data.batchsize: no such setting; did you mean 'data.batch_size'?; allowed in data: "),
        ("data={roots: x}", "data.roots: no such setting; did you mean 'data.root'?; allowed in data: "),
        ("split.fold=1", "split.fold: no such setting; allowed in split: seed, select_on_test, test_fraction, "
                         "val_fraction; it belongs to split=kfold"),
        ("seed=1,2", "seed=1,2: several values; add -m to run each of them, or write a list as seed=[1,2]"),
        ("seed=???", "seed is not set: give seed=…"),
        ("name=${seed}-${foo}", "name=${foo}: there is no setting foo; name another, or give the value"),
        ("seed=${foo}", "seed=${foo}: there is no setting foo; name another, or give the value"),
        ("seed=${oc.env:NO_SUCH_VARIABLE}", "seed: KeyError raised while resolving interpolation: \"Environment "),
        ("data=null", "data=null: not a file of the group; write data=… with one of alkafri, checkpoint, folder, "),
        ("+data=alkafri", "+data=alkafri: not a file of the group; write data=… with one of alkafri, checkpoint, "),
    ],
)  # fmt: skip
def test_error_of_a_command_line_is_described(override, description):
    assert describe(override).startswith(description)


def test_mapping_that_is_given_twice_is_described():
    classes = ["data.classes={background: 0, disc: 1}", "data.classes={background: 0, sac: 1}"]
    described = describe(*classes, chosen=["data=folder"])
    assert described.startswith("data.classes: given several times, and the values do not have the same keys; give it")


def test_missing_value_of_an_interpolation_is_described():
    assert describe("name=${data.root}", chosen=["data=alkafri"]) == "data.root is not set: give data.root=…"


def test_setting_of_another_command_is_described():
    assert describe("model=resunet", command="prepare").startswith("model: prepare has no such setting; allowed: data,")
    assert describe("model=resunet", command="evaluate").startswith(
        "model: evaluate has no such setting, it comes with the checkpoint; allowed: calibration, "
    )


def test_null_for_a_required_setting_of_hydra_is_described():
    assert describe("hydra.run.dir=null").startswith("hydra.run.dir=null: Error merging override hydra.run.dir=null (")


@pytest.mark.parametrize(
    ("file", "extra"),
    [
        ("hydra/sweeper/optuna", "optuna"),
        ("hydra/launcher/joblib", "cluster"),
        ("hydra/launcher/submitit_local", "cluster"),
        ("hydra/launcher/submitit_slurm", "cluster"),
    ],
)
def test_plugin_that_is_not_installed_is_described(file, extra):
    group, _, choice = file.rpartition("/")
    error = MissingConfigException("not found", missing_cfg_file=file, options=["basic"])
    assert describe_error(error, "train", []).startswith(
        f"{group}={choice}: not installed; run pip install 'lss-lightning[{extra}]', or in a checkout pip install -e "
    )
    assert set(PLUGIN_EXTRAS.values()) == {"optuna", "cluster"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["seed=1", "-m", "name=x"], ["-m", "seed=1", "name=x"]),
        (["seed=1", "--config-dir", "a", "name=x"], ["--config-dir", "a", "seed=1", "name=x"]),
        (["--config-dir=a", "seed=1"], ["--config-dir=a", "seed=1"]),
        (["seed=1", "--cfg", "job"], ["--cfg", "job", "seed=1"]),
        ([], []),
    ],
)
def test_flags_are_moved_before_overrides(arguments, expected):
    assert move_flags_first(arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--multirum"], "--multirum: unknown flag; did you mean '--multirun'?; --hydra-help lists the flags"),
        (["--multi"], "--multi: unknown flag"),
        (["seed=1", "--config-dir"], "--config-dir/-cd: expected one argument; --hydra-help explains the flags"),
        (["--cfg", "jobs"], "--cfg/-c: invalid choice: 'jobs' (choose from"),
    ],
)
def test_wrong_flag_is_described(arguments, message):
    with pytest.raises(UserError) as refused:
        move_flags_first(arguments)
    assert str(refused.value).startswith(message)


@pytest.fixture
def command_line(monkeypatch, tmp_path):
    """Set the command line of the process, and restore it and the environment after the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["train.py", "given=1"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    return sys.argv


OVERRIDES = ("hydra.run.dir=.", "hydra.output_subdir=null", "hydra/job_logging=none", "~hydra.callbacks.check")


def test_task_sees_the_command_line_of_the_process(command_line):
    seen = []
    start_hydra(lambda cfg: seen.append((cfg.seed, list(sys.argv))), "train", ["seed=5", *OVERRIDES])
    assert seen == [(5, ["train.py", "given=1"])]


@pytest.mark.parametrize(
    ("arguments", "description"),
    [
        (["--config-dir=nowhere"], "nowhere' not found"),
        (["--multirun", "--cfg", "job"], "--multirun --cfg job: Only one of"),
        (["hydra.run.dir=file"], "file: the run directory cannot be written"),
    ],
)
def test_error_that_hydra_raises_outside_its_exceptions_is_described(command_line, tmp_path, arguments, description):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as refused, translate_errors("train", arguments):
        start_hydra(lambda cfg: None, "train", [*OVERRIDES[1:], *arguments])
    assert description in str(refused.value)


@pytest.mark.parametrize("error", [ValueError("a bug"), FileNotFoundError(2, "a bug", "file")])
def test_error_that_a_task_raises_is_not_an_error_of_hydra(command_line, error):
    def task(cfg):
        raise error

    with pytest.raises(type(error), match="a bug"), translate_errors("train", []):
        start_hydra(task, "train", OVERRIDES)


def test_crash_of_a_task_is_not_described_even_if_its_type_is_omegaconfs(command_line):
    crash = OmegaConfBaseException("a bug")

    def task(cfg):
        raise crash

    with pytest.raises(OmegaConfBaseException, match="a bug"), translate_errors("train", [], crashes=[crash]):
        start_hydra(task, "train", OVERRIDES)


def test_exception_of_a_callback_ends_the_process(capsys):
    with pytest.raises(SystemExit) as ended, exit_on_callback_error():
        raise KeyError("a bug")
    assert ended.value.code == 1
    assert "KeyError: 'a bug'" in capsys.readouterr().err


def test_hydra_makes_the_sweeper_that_is_registered():
    pytest.importorskip("optuna", reason="pip install -e .[optuna]")
    from lss_lightning.sweeps.sweeper import OptunaSweeper

    with initialize_config_dir(str(config_folder()), version_base="1.3"):
        config = compose("train", overrides=["hydra/sweeper=optuna"], return_hydra_config=True)
        assert config.hydra.sweeper._target_ == OPTUNA_SWEEPER
        register_sweeper()
        context = HydraContext(config_loader=GlobalHydra.instance().config_loader(), callbacks=Callbacks())
        sweeper = Plugins.instance().instantiate_sweeper(
            hydra_context=context, task_function=lambda cfg: None, config=config
        )
    assert isinstance(sweeper, OptunaSweeper)
    assert isinstance(sweeper.launcher, Launcher)


def test_hydra_prints_no_error_of_its_own(command_line):
    start_hydra(lambda cfg: None, "train", OVERRIDES)
    assert os.environ["HYDRA_FULL_ERROR"] == "1"


def test_a_pickled_job_is_not_run_again():
    with pytest.raises(UserError, match="--experimental-rerun: not supported, because it unpickles a file"):
        move_flags_first(["--experimental-rerun=job.pkl"])
