"""Tests of ``data.raw=true``: published labels with images registered from the raw studies."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lss_lightning.config.prepare import PrepareConfig
from lss_lightning.config.validation import build_config
from lss_lightning.data.alkafri import AlKafri
from lss_lightning.data.alkafri_layout import IMAGES, LABELS, REGISTERED_FOLDER
from lss_lightning.data.dicom import REGISTRATION_CSV
from lss_lightning.data.dicom.archive import RAW_FOLDER, RAW_ZIP
from lss_lightning.data.dicom.picks import PICKS_FOLDER, SLICES_CSV
from lss_lightning.data.download import MRI, SOURCE_CODE
from lss_lightning.data.loading import load_slices
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom.dicom import T2_SERIES, write_studies
from lss_lightning.workflows import prepare
from tests.conftest import compose_command, write_slice
from tests.data.archives import write_zip
from tests.data.mendeley import list_address, serve

SIZE = 96


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("studies")
    write_studies(root, seed=8, patients=2, image_size=SIZE, workers=1)
    return root


@pytest.fixture
def root(studies: Path, tmp_path: Path) -> Path:
    """Raw studies, their CSV files, and published labels and images of the same patients."""
    shutil.copytree(studies, tmp_path / "data")
    for patient in ("0001", "0002"):
        for level in ("D3", "D4", "D5"):
            write_slice(tmp_path / "data", patient, level, (SIZE, SIZE))
    return tmp_path / "data"


def source(root: Path, **settings: Any) -> AlKafri:
    return AlKafri(name="alkafri", root=str(root), raw=True, **settings)


def registered_t2(root: Path, name: str) -> np.ndarray:
    folder, prefix = IMAGES["t2"]
    return np.array(Image.open(root / REGISTERED_FOLDER / folder / f"{prefix}_{name}.png"))


def test_images_come_from_the_studies_and_labels_from_the_ground_truth(root, caplog):
    data = source(root, channels="t2")
    data.check()
    with caplog.at_level(logging.INFO):
        data.prepare()
    assert "6 slices registered" in caplog.messages[-1]
    assert (root / REGISTERED_FOLDER / REGISTRATION_CSV).is_file()
    slices = load_slices(data.find().slices, "t2", LUMBAR)
    assert len(slices) == 6
    for loaded in slices:
        np.testing.assert_array_equal(loaded.image[0], registered_t2(root, loaded.slice.name))
        assert str(loaded.slice.label).startswith(str(root / LABELS[0]))


def test_studies_are_registered_once(root):
    data = source(root)
    data.prepare()
    before = (root / REGISTERED_FOLDER / REGISTRATION_CSV).stat().st_mtime_ns
    shutil.rmtree(root / RAW_FOLDER)
    data.check()
    data.prepare()
    assert (root / REGISTERED_FOLDER / REGISTRATION_CSV).stat().st_mtime_ns == before


def test_slice_that_cannot_be_registered_is_left_out(root):
    (study,) = (root / RAW_FOLDER / "0001").iterdir()
    shutil.rmtree(study / T2_SERIES)
    data = source(root)
    data.prepare()
    assert [slice_.name for slice_ in data.find().slices] == ["0002_D3", "0002_D4", "0002_D5"]
    assert data.find().left_out == {"label without composite image": 3}


@pytest.mark.parametrize(
    ("removed", "message"),
    [(RAW_FOLDER, "give 01_MRI_Data, MRI_Data.zip"), (PICKS_FOLDER, "Source_Code.zip of https://")],
)
def test_missing_inputs_are_reported_before_anything_is_read(root, removed, message):
    shutil.rmtree(root / removed)
    with pytest.raises(UserError, match=message):
        source(root).check()


def test_archive_as_root_is_refused(tmp_path):
    (tmp_path / "data.zip").touch()
    with pytest.raises(UserError, match=r"data.raw=true with data.root=.*data.zip: a file"):
        source(tmp_path / "data.zip").check()


def test_missing_studies_and_csv_files_are_downloaded(root, studies, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    for folder in (RAW_FOLDER, PICKS_FOLDER):
        shutil.rmtree(root / folder)
    members = {path.relative_to(studies).as_posix(): path.read_bytes() for path in studies.rglob("*") if path.is_file()}
    with serve() as server:
        server.content = write_zip(root.parent / "both.zip", members).read_bytes()
        server.names = {list_address(remote): remote.name for remote in (MRI, SOURCE_CODE)}
        data = source(root, download=True, download_url=server.api)
        data.check()
        data.prepare()
        requests = len(server.requests)
        data.prepare()
        assert len(server.requests) == requests
    assert (root / RAW_ZIP).is_file()
    assert (root / SOURCE_CODE.name).is_file()
    assert len(data.find().slices) == 6


def test_broken_source_code_archive_is_refused(root):
    shutil.rmtree(root / PICKS_FOLDER)
    (root / SOURCE_CODE.name).write_bytes(b"PK")
    with pytest.raises(UserError, match=r"Source_Code.zip: broken zip .*download it again"):
        source(root).check()


def test_csv_files_are_found_at_both_levels_of_the_archive(root):
    content = (root / PICKS_FOLDER / SLICES_CSV).read_bytes()
    shutil.rmtree(root / PICKS_FOLDER)
    for folder in (PICKS_FOLDER, PICKS_FOLDER.partition("/")[2]):
        write_zip(root / SOURCE_CODE.name, {f"{folder}/{SLICES_CSV}": content})
        source(root).check()


def test_prepare_writes_the_inventory_of_registered_slices(root, tmp_path, capsys):
    overrides = ("data=alkafri", f"data.root={root}", "data.raw=true", "split=resubstitution")
    (tmp_path / "out").mkdir()
    prepare.run(build_config(PrepareConfig, compose_command("prepare", *overrides)[0]), tmp_path / "out")
    inventory = json.loads((tmp_path / "out" / "inventory.json").read_text())
    assert (inventory["labels"], inventory["slices"]) == (6, 6)
    assert inventory["images"] == {"composite": 6, "t1": 6, "t2": 6}
    assert str(root) in capsys.readouterr().out
