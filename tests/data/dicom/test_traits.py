"""Tests of the properties of single images: weighting, variants, and whose they are."""

from __future__ import annotations

from typing import Any

import pydicom
import pytest

from lss_lightning.data.dicom.traits import ImageTraits, are_same_patient, read_traits


def make_traits(**attributes: Any) -> ImageTraits:
    """Return the traits of a T2-weighted original in which some attributes differ. None removes one."""
    dataset = pydicom.Dataset()
    values = {"ImageType": ["ORIGINAL", "PRIMARY", "M"], "RepetitionTime": 3500, "EchoTime": 100} | attributes
    for name, value in values.items():
        if value is not None:
            setattr(dataset, name, value)
    times = (dataset.get("RepetitionTime"), dataset.get("EchoTime"))
    return read_traits(dataset, *(None if time is None else float(time) for time in times))


@pytest.mark.parametrize(
    ("times", "description", "weighting"),
    [
        ((500, 10, None), "", "T1"),
        ((3500, 90, None), "", "T2"),
        ((3500, 20, None), "", "PD"),
        ((8, 4, None), "", "other"),
        ((2200, 18, 860), "", "T1"),  # T1 FLAIR by its inversion time
        ((2200, 18, None), "Ax T1 FLAIR", "T1"),
        ((9000, 120, 2500), "", "other"),  # T2 FLAIR
        ((9000, 120, None), "ax t2 flair", "other"),
        ((4000, 70, 150), "", "STIR"),
        ((4000, 70, None), "t2_tirm_tra", "STIR"),
        ((4000, 70, None), "Ax STIR", "STIR"),
        ((700, 15, None), "t2_me2d_tra", "other"),
        ((700, 15, None), "AX T2* MERGE", "other"),
        ((5000, 80, None), "ep2d_diff_tra", "other"),
        ((5000, 80, None), "myelo", "other"),
        ((1400, 12, None), "t1_tse_tra", "T1"),
        ((1400, 12, None), "", "other"),
        ((None, None, None), "Ax T2 FSE", "T2"),
        ((None, None, None), "L-SPINE AXT1", "T1"),
        ((None, None, None), "OBL AX FRFSE T2W", "T2"),
        ((0, 0, None), "tra t2 tse", "T2"),
        ((None, None, None), "T12-L1 tra", "other"),
        ((None, None, None), "t2_tse T12-S1", "T2"),
        ((None, None, None), "T2 map", "other"),
        ((None, None, None), "ax stir t2", "STIR"),
        ((None, None, None), "PD/T2 dual echo", "other"),
        ((None, None, None), "Ax PD", "PD"),
        ((None, 100, None), "Ax T1", "other"),
        ((None, None, None), "", "other"),
        ((500, 10, None), "localizer", "other"),
    ],
)
def test_weighting_is_told_by_times_and_then_by_a_word_anywhere_in_the_description(
    times: tuple[float | None, float | None, float | None], description: str, weighting: str
) -> None:
    names = ("RepetitionTime", "EchoTime", "InversionTime")
    assert make_traits(**dict(zip(names, times, strict=True)), SeriesDescription=description).weighting == weighting


@pytest.mark.parametrize(
    ("times", "description", "protocol", "weighting"),
    [
        ((None, None), None, "t2_tse_tra", "T2"),
        ((None, None), "", "T1W_TSE_AX", "T1"),
        ((None, None), "Ax", "t2_tse_tra", "T2"),
        ((None, None), "T1 ax", "t2_tse_tra", "T1"),
        ((None, None), "Ax PD", "t2_tse_tra", "PD"),
        ((None, None), "Ax", "LSPINE T1 T2", "other"),  # the protocol of the whole examination
        ((None, None), "Ax", "tirm_tra", "STIR"),
        ((4000, 70), "Ax", "t2_tirm_tra", "STIR"),
        ((700, 15), "Ax", "t2_me2d_tra", "other"),
        ((3500, 100), "T2 ax", "me2d", "T2"),
        ((500, 10), None, "localizer", "other"),
        ((500, 10), "Ax", "t2_tse_tra", "T1"),  # times come first
    ],
)
def test_protocol_tells_the_weighting_if_the_description_does_not(
    times: tuple[float | None, float | None], description: str | None, protocol: str, weighting: str
) -> None:
    attributes: dict[str, Any] = dict(zip(("RepetitionTime", "EchoTime"), times, strict=True))
    assert make_traits(SeriesDescription=description, ProtocolName=protocol, **attributes).weighting == weighting


@pytest.mark.parametrize(
    ("modality", "times", "weighting"),
    [("OT", None, "other"), ("CT", None, "other"), ("MR", None, "T2"), (None, None, "T2"), ("OT", 1, "T2")],
)
def test_words_tell_the_weighting_of_mr_images_only(modality: str | None, times: int | None, weighting: str) -> None:
    absent = {} if times else {"RepetitionTime": None, "EchoTime": None}
    assert make_traits(Modality=modality, SeriesDescription="t2_tse_tra", **absent).weighting == weighting


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({}, ""),
        ({"ImageType": ["DERIVED", "PRIMARY", "MPR", "NORM"]}, "derived"),
        ({"ImageType": ["DERIVED", "SECONDARY", "OTHER"]}, "derived"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "W", "W"]}, "water"),
        ({"ImageType": ["DERIVED", "PRIMARY", "DIXON", "FAT"]}, "derived, fat"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "IN_PHASE"]}, ""),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "OUT_PHASE"]}, "opposed-phase"),
        ({"SeriesDescription": "WATER: Ax T2 FLEX"}, "water"),
        ({"SeriesDescription": "t2_tse_dixon_tra_F"}, "fat"),
        ({"SeriesDescription": "t2_tse_dixon_tra_in"}, ""),
        ({"SeriesDescription": "t2_tse_fs_tra"}, "fat-suppressed"),
        ({"ScanOptions": ["PFP", "FS"]}, "fat-suppressed"),
        ({"ContrastBolusAgent": "Dotarem 15 ml"}, "with contrast agent"),
        ({"ContrastBolusAgent": "NONE"}, ""),
        ({"SeriesDescription": "t1_tse_tra +C"}, "with contrast agent"),
        ({"SeriesDescription": "T1 TRA POST GAD"}, "with contrast agent"),
        ({"SeriesDescription": "t1_tra_KM"}, "with contrast agent"),
        ({"SeriesDescription": "T1 tra without contrast"}, ""),
        ({"SeriesDescription": "T1 tra ohne KM"}, ""),
    ],
)
def test_variants_are_told_by_image_type_agent_and_description(attributes: dict[str, Any], kind: str) -> None:
    assert make_traits(**attributes).kind == kind


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"PatientID": "1"}, {"PatientID": "1 "}, True),
        ({"PatientID": "1"}, {"PatientID": "2"}, False),
        ({"PatientID": "1"}, {}, True),
        ({"PatientID": "anon", "PatientName": "A"}, {"PatientID": "anon", "PatientName": "B"}, False),
        ({"PatientName": "DOE^JOHN"}, {"PatientName": "Doe, John A"}, True),
        ({"PatientBirthDate": "19500101"}, {"PatientBirthDate": "19510101"}, False),
        ({"PatientSex": "F"}, {"PatientSex": "M"}, False),
        ({"PatientSex": "F"}, {"PatientSex": "O"}, True),
        ({}, {}, True),
    ],
)
def test_patients_differ_if_something_that_both_state_differs(
    first: dict[str, str], second: dict[str, str], same: bool
) -> None:
    assert are_same_patient(make_traits(**first), make_traits(**second)) is same


def test_identity_holds_digests_only() -> None:
    traits = make_traits(PatientID="MRN77", PatientName="Doe^John", PatientBirthDate="19500101")
    assert not any(secret in repr(traits).lower() for secret in ("mrn77", "doe", "19500101"))


def test_invalid_values_count_as_missing() -> None:
    traits = make_traits(SeriesNumber=None, InversionTime=None)
    assert traits.series_number is None
    dataset = pydicom.Dataset()
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    for tag, vr, value in ((0x00200011, "IS", b"five"), (0x00180082, "DS", b"short")):
        dataset[tag] = pydicom.dataelem.RawDataElement(pydicom.tag.Tag(tag), vr, len(value), value, 0, False, True)
    traits = read_traits(dataset, 500, 10)
    assert (traits.series_number, traits.weighting) == (None, "T1")
