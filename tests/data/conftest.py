"""Fixtures of the cache's tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lss_lightning.data import cache, loading
from lss_lightning.data.slices import Slice


@pytest.fixture
def cache_folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list of the names of slices decoded from now on; the first slice of a new cache is decoded twice."""
    names: list[str] = []
    load_slice = loading.load_slice

    def load(slice_: Slice, *args: Any, **options: Any) -> loading.LoadedSlice:
        names.append(slice_.name)
        return load_slice(slice_, *args, **options)

    for module in (loading, cache):
        monkeypatch.setattr(module, "load_slice", load)
    return names
