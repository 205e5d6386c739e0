"""Source images: the attributes that SEG and SR copy, and the images that they refuse."""

from __future__ import annotations

from dataclasses import replace

import pydicom
import pytest

from lss_lightning.errors import UserError
from lss_lightning.reporting.dicom import write_seg, write_sr
from tests.reporting.dicom.files import IDENTITY, read_header
from tests.reporting.studies import make_phantom_study


def test_identity_is_kept_only_on_request(written):
    study, segs, sr, keep = written
    source = read_header(study.slices[0].sources[0])
    for path in (*segs, sr):
        dataset = read_header(path)
        assert dataset.StudyInstanceUID == source.StudyInstanceUID
        for keyword, value in IDENTITY.items():
            assert str(dataset.get(keyword) or "") == (value if keep else "")
        if not keep:
            raw = path.read_bytes()
            for value in {*IDENTITY.values(), "Österreicher", "Käthe"}:
                for encoding in ("utf-8", "latin-1"):
                    assert value.encode(encoding) not in raw


def test_invalid_dates_are_not_kept(study, tmp_path):
    first = study.slices[0]
    dataset = pydicom.dcmread(first.sources[0])
    with pydicom.config.disable_value_validation():
        dataset.PatientBirthDate, dataset.StudyDate, dataset.StudyTime = "about 1950", "20160309", "noon"
        dataset.save_as(tmp_path / "invalid.dcm")
    invalid = replace(study, slices=(replace(first, sources=(tmp_path / "invalid.dcm",)),))
    (path,) = write_seg(invalid, tmp_path / "seg.dcm", keep_identity=True)
    header = read_header(path)
    assert (header.PatientBirthDate, header.StudyDate, header.StudyTime) == ("", "20160309", "")
    assert header.PatientID == IDENTITY["PatientID"]


def test_a_study_without_dicom_sources_has_no_dicom_output(tmp_path):
    study = make_phantom_study(levels=("D4",))
    assert write_seg(study, tmp_path / "seg.dcm") == ()
    assert write_sr(study, tmp_path / "sr.dcm", ()) is None
    assert list(tmp_path.iterdir()) == []


def test_a_label_map_on_the_grid_of_no_source_is_refused(study, tmp_path):
    first = study.slices[0]
    moved = replace(first, geometry=replace(first.geometry, origin=(0.0, 0.0, 0.0)))
    with pytest.raises(UserError, match=r"slice_01: .*none of its 2 source images"):
        write_seg(replace(study, slices=(moved,)), tmp_path / "seg.dcm")
    assert list(tmp_path.iterdir()) == []


def test_a_source_without_uid_is_refused(study, tmp_path):
    first = study.slices[0]
    dataset = pydicom.dcmread(first.sources[0])
    del dataset.FrameOfReferenceUID
    dataset.save_as(tmp_path / "broken.dcm")
    broken = replace(first, sources=(tmp_path / "broken.dcm",))
    with pytest.raises(UserError, match="lacks FrameOfReferenceUID"):
        write_seg(replace(study, slices=(broken,)), tmp_path / "seg.dcm")
