from __future__ import annotations

import shutil

import pytest
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from lss_lightning.cli.resume import RESUMED_CONFIG, expand_checkpoint_argument
from lss_lightning.errors import UserError
from lss_lightning.runs.layout import RunFolder
from lss_lightning.runs.results import record_resume


@pytest.fixture
def run(tmp_path):
    """Return a run directory as training leaves it."""
    folder = tmp_path / "logs" / "it's a run (1)"
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "config.yaml").write_text("name: first\n")
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "last.ckpt").write_text("")
    return folder


def quoted(path):
    text = str(path).replace("'", "\\'")
    return f"ckpt_path='{text}'"


def stored_config(arguments):
    """Return the configuration from which Hydra starts."""
    [name] = [text.partition("=")[2] for text in arguments if text.startswith("--config-name=")]
    return ConfigStore.instance().load(f"{name}.yaml").node


@pytest.mark.parametrize(
    "line", [[], ["seed=1"], ["ckpt_path=null"], ["ckpt_path=a", "ckpt_path=null"], ["-m", "seed=1,2"], ["ckpt_path=("]]
)
def test_other_command_lines_are_unchanged(line):
    assert expand_checkpoint_argument(line) == line


@pytest.mark.parametrize("prefix", ["", "+", "++"])
def test_stored_configuration_and_run_directory_are_given_to_hydra(run, prefix):
    line = [prefix + quoted(run / "checkpoints" / "last.ckpt"), "trainer.max_epochs=3"]
    arguments = expand_checkpoint_argument(line)
    assert arguments[-2:] == line
    assert stored_config(arguments) == {"name": "first"}
    assert [text for text in arguments if text.startswith("--")] == [f"--config-name={RESUMED_CONFIG}"]
    parsed = OverridesParser.create().parse_overrides([text for text in arguments if not text.startswith("--")])
    values = {override.key_or_group: override.value() for override in parsed}
    assert values["hydra.run.dir"] == str(run)
    assert values["hydra.output_subdir"] is None


def test_relative_path_is_resolved(run, monkeypatch):
    monkeypatch.chdir(run)
    arguments = expand_checkpoint_argument(["ckpt_path=checkpoints/last.ckpt"])
    assert stored_config(arguments) == {"name": "first"}


def test_home_is_expanded(run, monkeypatch):
    monkeypatch.setenv("HOME", str(run))
    monkeypatch.setenv("USERPROFILE", str(run))
    assert stored_config(expand_checkpoint_argument(["ckpt_path='~/checkpoints/last.ckpt'"])) == {"name": "first"}


def test_each_resume_starts_from_the_previous_one(run):
    checkpoint = quoted(run / "checkpoints" / "last.ckpt")
    for number in range(1, 12):
        record_resume(run, {"seed": number, "ckpt_path": "somewhere", "model": {"list": [1, 2]}})
        folder = run / ".hydra" / f"resume-{number}"
        assert RunFolder(run).resumes[-1] == folder
        stored = OmegaConf.load(folder / "config.yaml")
        assert stored == {"seed": number, "ckpt_path": None, "model": {"list": [1, 2]}}
        assert stored_config(expand_checkpoint_argument([checkpoint])) == stored
    (run / ".hydra" / "resume-11" / "config.yaml").unlink()
    assert stored_config(expand_checkpoint_argument([checkpoint])).seed == 10


@pytest.mark.parametrize(
    ("spoil", "more", "message"),
    [
        (
            lambda run: (run / "checkpoints" / "last.ckpt").unlink(),
            [],
            "no such file; give checkpoints/last.ckpt of a run",
        ),
        (lambda run: shutil.rmtree(run / ".hydra"), [], "not in a run directory"),
        (lambda run: (run / ".hydra" / "config.yaml").unlink(), [], "not in a run directory"),
        (lambda run: None, ["-m"], "in a sweep: only one run can be resumed at a time"),
        (lambda run: None, ["--multirun"], "in a sweep: only one run can be resumed at a time"),
        (
            lambda run: None,
            ["hydra.run.dir=elsewhere"],
            "hydra.run.dir=elsewhere: a resumed run continues in its own directory",
        ),
    ],
)
def test_resume_that_is_not_possible_is_refused(run, spoil, more, message):
    spoil(run)
    with pytest.raises(UserError) as refused:
        expand_checkpoint_argument([quoted(run / "checkpoints" / "last.ckpt"), *more])
    assert message in str(refused.value)


def test_checkpoint_outside_a_checkpoints_folder_is_refused(run):
    (run / "last.ckpt").write_text("")
    (run.parent / ".hydra").mkdir()
    (run.parent / ".hydra" / "config.yaml").write_text("")
    with pytest.raises(UserError, match="not in a run directory"):
        expand_checkpoint_argument([quoted(run / "last.ckpt")])


@pytest.mark.parametrize(
    ("line", "reported"), [("ckpt_path=[a,b]", "[a, b]"), ("ckpt_path=''", ""), ("ckpt_path=3", "3")]
)
def test_value_that_is_not_a_path_is_reported(line, reported):
    with pytest.raises(UserError) as refused:
        expand_checkpoint_argument([line])
    assert str(refused.value).startswith(f"ckpt_path={reported}: no such file")


def test_directory_of_the_run_may_be_given(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    run = run.rename("plain")
    expand_checkpoint_argument(["ckpt_path=plain/checkpoints/last.ckpt", "hydra.run.dir=plain"])
