from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from lss_lightning.config.overrides import given_value, pasted

PATHS = ["logs/train/2030-01-02_03-04-05", "mein Ordner ü", 'say "a"', "it's", "a,b", "[a]", "a=b"]


@pytest.mark.parametrize("path", PATHS)
def test_a_pasted_path_is_read_as_it_is(path):
    [text] = shlex.split(pasted("sweep", Path(path)))
    assert given_value("sweep", [text]) == path


def test_a_pasted_list_is_read_as_it_is():
    [text] = shlex.split(pasted("folds", *map(Path, PATHS)))
    assert given_value("folds", [text]) == f"[{', '.join(PATHS)}]"


def test_what_needs_no_quotes_has_none():
    assert pasted("sweep", Path("logs/a")) == "sweep=logs/a"
