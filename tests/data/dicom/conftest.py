"""Raw phantom studies, and their conversion."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lss_lightning.data.dicom import convert_studies
from lss_lightning.phantom.dicom import write_studies
from lss_lightning.phantom.study import StudySlice
from tests.data.dicom.raw_studies import SIZE, T2_SIZE


@pytest.fixture(scope="package")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[StudySlice]]:
    """The raw studies of two patients and the truth about their slices."""
    root = tmp_path_factory.mktemp("dicom") / "raw"
    return root, write_studies(root, seed=8, patients=2, image_size=SIZE, t2_sizes={2: T2_SIZE}, workers=1)


@pytest.fixture(scope="package")
def converted(phantom: tuple[Path, list[StudySlice]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The converted studies."""
    output = tmp_path_factory.mktemp("converted") / "out"
    convert_studies(phantom[0], phantom[0], output, workers=1)
    return output


@pytest.fixture
def raw(phantom: tuple[Path, list[StudySlice]], tmp_path: Path) -> Path:
    """A copy of the raw studies. Tests damage patient 0001; patient 0002 must still be converted."""
    return Path(shutil.copytree(phantom[0], tmp_path / "raw"))
