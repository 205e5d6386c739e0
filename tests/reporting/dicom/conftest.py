"""A phantom study in DICOM and the SEG and SR files written from it."""

from __future__ import annotations

import pydicom
import pytest

from lss_lightning.reporting.dicom import write_seg, write_sr
from tests.reporting.dicom.files import IDENTITY
from tests.reporting.studies import make_dicom_study

# Real files contain identifying text in these attributes as well.
FREE_TEXT = {
    "StudyID": "ACC-2718",
    "StudyDescription": "Österreicher^Käthe ID-77-3141",
    "SeriesDescription": "Käthe ACC-2718",
    "ProtocolName": "Österreicher",
    "InstitutionName": "Käthe",
    "ReferringPhysicianName": "Österreicher",
    "OtherPatientIDs": "ID-77-3141",
    "PatientComments": "born 19500607",
    "Manufacturer": "ID-77-3141",
    "DeviceSerialNumber": "ACC-2718",
    "StationName": "19500607",
    "OperatorsName": "Österreicher",
    "ImageComments": "ID-77-3141",
}


@pytest.fixture(scope="package")
def study(tmp_path_factory):
    """A study with identifying text in every attribute that a scanner or a person may fill in."""
    study = make_dicom_study(tmp_path_factory.mktemp("study"))
    for path in {path for result in study.slices for path in result.sources}:
        dataset = pydicom.dcmread(path)
        dataset.SpecificCharacterSet = "ISO_IR 100"
        for keyword, value in (IDENTITY | FREE_TEXT).items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)
    return study


@pytest.fixture(scope="package", params=[False, True], ids=["anonymous", "identified"])
def written(request, study, tmp_path_factory):
    """The study, its SEG files, its SR file, and whether they keep the identity."""
    folder = tmp_path_factory.mktemp("written")
    segs = write_seg(study, folder / "seg.dcm", request.param)
    return study, segs, write_sr(study, folder / "sr.dcm", segs, request.param), request.param
