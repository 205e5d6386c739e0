from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from lss_lightning.config.overrides import find_override, format_shell_override

PATHS = ["logs/train/2030-01-02_03-04-05", "mein Ordner ü", 'say "a"', "it's", "a,b", "[a]", "a=b"]


@pytest.mark.parametrize("path", PATHS)
def test_path_survives_shell_and_hydra(path):
    [text] = shlex.split(format_shell_override("sweep", Path(path)))
    assert find_override("sweep", [text]) == path


def test_list_of_paths_survives_shell_and_hydra():
    [text] = shlex.split(format_shell_override("folds", *map(Path, PATHS)))
    assert find_override("folds", [text]) == f"[{', '.join(PATHS)}]"


def test_plain_path_is_not_quoted():
    assert format_shell_override("sweep", Path("logs/a")) == "sweep=logs/a"
