"""``data.raw=true``: the published labels with images registered here, out of the raw studies."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lss_lightning.config.prepare import prepare_config
from lss_lightning.data.alkafri import AlKafri
from lss_lightning.data.dicom import REGISTRATION
from lss_lightning.data.dicom.archive import RAW, ZIP
from lss_lightning.data.dicom.picks import PICKS, SLICES
from lss_lightning.data.download import MRI, SOURCE_CODE
from lss_lightning.data.loading import load_slices
from lss_lightning.data.slices import IMAGES, LABELS, REGISTERED
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom.dicom import T2_SERIES, write_studies
from lss_lightning.workflows import prepare
from tests.conftest import compose_command, write_slice
from tests.data.mendeley import list_of, serve
from tests.data.test_archive import write_zip

SIZE = 96


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("studies")
    write_studies(root, seed=8, patients=2, image_size=SIZE, workers=1)
    return root


@pytest.fixture
def root(studies: Path, tmp_path: Path) -> Path:
    """Raw studies, their CSVs, and published labels and images of the same patients."""
    shutil.copytree(studies, tmp_path / "data")
    for patient in ("0001", "0002"):
        for level in ("D3", "D4", "D5"):
            write_slice(tmp_path / "data", patient, level, (SIZE, SIZE))
    return tmp_path / "data"


def source(root: Path, **settings: Any) -> AlKafri:
    return AlKafri(name="alkafri", root=str(root), raw=True, **settings)


def registered_t2(root: Path, name: str) -> np.ndarray:
    folder, prefix = IMAGES["t2"]
    return np.array(Image.open(root / REGISTERED / folder / f"{prefix}_{name}.png"))


def test_images_come_from_the_studies_and_labels_from_the_ground_truth(root, caplog):
    data = source(root, channels="t2")
    data.check()
    with caplog.at_level(logging.INFO):
        data.prepare()
    assert "6 slices registered" in caplog.messages[-1]
    assert (root / REGISTERED / REGISTRATION).is_file()
    slices = load_slices(data.find().slices, "t2", LUMBAR)
    assert len(slices) == 6
    for loaded in slices:
        np.testing.assert_array_equal(loaded.image[0], registered_t2(root, loaded.slice.name))
        assert str(loaded.slice.label).startswith(str(root / LABELS[0]))


def test_studies_are_registered_once(root):
    data = source(root)
    data.prepare()
    before = (root / REGISTERED / REGISTRATION).stat().st_mtime_ns
    shutil.rmtree(root / RAW)
    data.check()
    data.prepare()
    assert (root / REGISTERED / REGISTRATION).stat().st_mtime_ns == before


def test_a_slice_that_could_not_be_registered_is_left_out(root):
    (study,) = (root / RAW / "0001").iterdir()
    shutil.rmtree(study / T2_SERIES)
    data = source(root)
    data.prepare()
    assert [piece.name for piece in data.find().slices] == ["0002_D3", "0002_D4", "0002_D5"]
    assert data.find().left_out == {"label without composite image": 3}


@pytest.mark.parametrize(
    ("removed", "says"), [(RAW, "give 01_MRI_Data, MRI_Data.zip"), (PICKS, "Source_Code.zip of https://")]
)
def test_what_is_missing_is_named_before_anything_is_read(root, removed, says):
    shutil.rmtree(root / removed)
    with pytest.raises(UserError, match=says):
        source(root).check()


def test_archive_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "data.zip").touch()
    with pytest.raises(UserError, match=r"data.raw=true with data.root=.*data.zip: a file"):
        source(tmp_path / "data.zip").check()


def test_missing_studies_and_their_csvs_are_downloaded(root, studies, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    for folder in (RAW, PICKS):
        shutil.rmtree(root / folder)
    members = {path.relative_to(studies).as_posix(): path.read_bytes() for path in studies.rglob("*") if path.is_file()}
    with serve() as server:
        server.content = write_zip(root.parent / "both.zip", members).read_bytes()
        server.names = {list_of(remote): remote.name for remote in (MRI, SOURCE_CODE)}
        data = source(root, download=True, download_url=server.api)
        data.check()
        data.prepare()
        asked = len(server.requests)
        data.prepare()
        assert len(server.requests) == asked
    assert (root / ZIP).is_file()
    assert (root / SOURCE_CODE.name).is_file()
    assert len(data.find().slices) == 6


def test_broken_source_code_archive_is_named(root):
    shutil.rmtree(root / PICKS)
    (root / SOURCE_CODE.name).write_bytes(b"PK")
    with pytest.raises(UserError, match=r"Source_Code.zip: a broken zip .*download it again"):
        source(root).check()


def test_csvs_are_read_out_of_the_archive_whatever_surrounds_them(root):
    content = (root / PICKS / SLICES).read_bytes()
    shutil.rmtree(root / PICKS)
    for inside in (PICKS, PICKS.partition("/")[2]):
        write_zip(root / SOURCE_CODE.name, {f"{inside}/{SLICES}": content})
        source(root).check()


def test_prepare_says_what_became_of_them(root, tmp_path, capsys):
    overrides = ("data=alkafri", f"data.root={root}", "data.raw=true", "split=resubstitution")
    (tmp_path / "out").mkdir()
    prepare.run(prepare_config(compose_command("prepare", *overrides)[0]), tmp_path / "out")
    held = json.loads((tmp_path / "out" / "inventory.json").read_text())
    assert (held["labels"], held["slices"]) == (6, 6)
    assert held["images"] == {"composite": 6, "t1": 6, "t2": 6}
    assert str(root) in capsys.readouterr().out
