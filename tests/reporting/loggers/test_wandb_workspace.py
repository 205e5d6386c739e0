"""The command that builds the W&B dashboard. ``tests/workflows/test_recording.py`` checks its metrics against a run."""

from __future__ import annotations

import pytest

from lss_lightning.errors import UserError
from lss_lightning.reporting.loggers import wandb_workspace
from tests.reporting.loggers.wandb_recorder import record_wandb


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["projct=x"], "projct: no such setting; did you mean 'project'?"),
        (["project="], "project=: no value; set project=… or leave it out"),
    ],
)
def test_invalid_arguments_are_refused(arguments, message):
    with pytest.raises(UserError) as raised:
        wandb_workspace.main(arguments)
    assert str(raised.value).startswith(message)


def test_the_dashboard_is_built_without_an_account(tmp_path, capsys):
    with record_wandb(tmp_path):
        wandb_workspace.main(["project=spines"])
    assert capsys.readouterr().out.startswith("4 sections, ")


def test_the_dashboard_requires_the_extra(monkeypatch):
    monkeypatch.setattr(wandb_workspace, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'lss-lightning\[wandb\]'"):
        wandb_workspace.main([])
