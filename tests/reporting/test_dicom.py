"""SEG and SR as other programs read them: right pixels, right places, right references, nobody's name."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom.spatial import ImageToReferenceTransformer, PixelToReferenceTransformer
from pydicom.sr.codedict import codes

from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.dicom import write_seg, write_sr
from lss_lightning.stenosis import MEASUREMENTS, Support
from tests.reporting.studies import MODELS, dicom_study, phantom_study

IDENTITY = {
    "PatientName": "Österreicher^Käthe",
    "PatientID": "ID-77-3141",
    "PatientBirthDate": "19500607",
    "AccessionNumber": "ACC-2718",
}
# Where such things stand in real files as well.
ELSEWHERE = {
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


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """With a patient's name in every text that a scanner or a person may fill."""
    study = dicom_study(tmp_path_factory.mktemp("study"))
    for path in {path for result in study.slices for path in result.sources}:
        dataset = pydicom.dcmread(path)
        dataset.SpecificCharacterSet = "ISO_IR 100"
        for keyword, value in (IDENTITY | ELSEWHERE).items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)
    return study


@pytest.fixture(scope="module", params=[False, True], ids=["anonymous", "identified"])
def written(request, study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    segs = write_seg(study, folder / "seg.dcm", request.param)
    return study, segs, write_sr(study, folder / "sr.dcm", segs, request.param), request.param


def header(path):
    return pydicom.dcmread(path, stop_before_pixels=True)


def groups_of(path):
    return hd.sr.srread(path).content.get_image_measurement_groups(), hd.sr.srread(
        path
    ).content.get_planar_roi_measurement_groups()


def test_a_file_for_each_direction(written):
    study, segs, _, _ = written
    directions = {tuple(header(result.sources[0]).ImageOrientationPatient) for result in study.slices}
    assert len(directions) == 3
    assert [path.name for path in segs] == ["seg_1.dcm", "seg_2.dcm", "seg_3.dcm"]
    written_directions = {
        tuple(header(path).SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient)
        for path in segs
    }
    assert written_directions == directions


def test_segments_overlay_their_source_pixel_by_pixel(written):
    study, segs, _, _ = written
    by_source = {str(header(result.sources[0]).SOPInstanceUID): result for result in study.slices}
    seen = set()
    for path in segs:
        seg = hd.seg.segread(path)
        assert seg.SegmentationType == "BINARY"
        assert [one.segment_label for one in map(seg.get_segment_description, seg.segment_numbers)] == [
            LUMBAR[index].name for index in LUMBAR.anatomical
        ]
        sources = [source for _, _, source in seg.get_source_image_uids() if source in by_source]
        pixels = seg.get_pixels_by_source_instance(sources)
        for uid, frames in zip(sources, pixels, strict=True):
            for place, index in enumerate(LUMBAR.anatomical):
                np.testing.assert_array_equal(frames[..., place] > 0, by_source[uid].classes == index)
            seen.add(uid)
    assert seen == set(by_source)


def test_frames_lie_where_their_source_lies(written):
    study, segs, _, _ = written
    images = {str(header(result.sources[0]).SOPInstanceUID): header(result.sources[0]) for result in study.slices}
    corners = np.array([[0, 0], [95, 0], [0, 95], [95, 95]])
    for path in segs:
        seg = pydicom.dcmread(path)
        shared = seg.SharedFunctionalGroupsSequence[0]
        assert len(seg.PerFrameFunctionalGroupsSequence) == seg.NumberOfFrames == len(seg.pixel_array)
        for frame, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
            assert pixels.any()  # no frame of what is not there
            source = frame.DerivationImageSequence[0].SourceImageSequence[0]
            image = images[source.ReferencedSOPInstanceUID]
            here = PixelToReferenceTransformer(
                frame.PlanePositionSequence[0].ImagePositionPatient,
                shared.PlaneOrientationSequence[0].ImageOrientationPatient,
                shared.PixelMeasuresSequence[0].PixelSpacing,
            )
            there = PixelToReferenceTransformer(
                image.ImagePositionPatient, image.ImageOrientationPatient, image.PixelSpacing
            )
            np.testing.assert_allclose(here(corners), there(corners), atol=1e-6)
            assert seg.FrameOfReferenceUID == image.FrameOfReferenceUID


def test_segments_say_what_they_are_and_what_made_them(written):
    _, segs, _, _ = written
    discs = [("62551000", "SCT"), ("84020006", "SCT"), ("715056000", "SCT")]  # PS3.16, CID 7604: L3/L4, L4/L5, L5/S1
    for path, disc in zip(segs, discs, strict=True):
        seg = hd.seg.segread(path)
        segments = [seg.get_segment_description(number) for number in seg.segment_numbers]
        types = [one.segmented_property_type for one in segments]
        assert [(one.value, one.scheme_designator) for one in types] == [
            disc,
            ("POSTERIOR_ELEM", "99LSS"),
            ("THECAL_SAC", "99LSS"),
            ("AAP", "99LSS"),
        ]
        assert {"assumed" in one.SegmentDescription for one in segments} == {True}
    for number in seg.segment_numbers:
        algorithm = seg.get_segment_description(number).algorithm_identification[0]
        for model in MODELS:
            assert f"{model.name} sha256:{model.sha256}" in algorithm.AlgorithmParameters
    assert "not a medical device" in seg.ContentDescription
    assert [one.CodingSchemeDesignator for one in seg.CodingSchemeIdentificationSequence] == ["99LSS"]


def test_a_disc_whose_level_is_unknown_has_a_code_of_our_own(study, tmp_path):
    slices = [replace(result, level=None, level_source="unknown") for result in study.slices if result.level == "L4/5"]
    (path,) = write_seg(replace(study, slices=tuple(slices)), tmp_path / "seg.dcm")
    disc = hd.seg.segread(path).get_segment_description(1)
    assert disc.segmented_property_type == hd.sr.CodedConcept("INTERVERT_DISC", "99LSS", "Intervertebral disc")
    assert "SegmentDescription" not in disc


def test_a_level_that_was_given_is_not_called_assumed(study, tmp_path):
    slices = [replace(result, level_source="given") for result in study.slices if result.level == "L4/5"]
    (path,) = write_seg(replace(study, slices=tuple(slices)), tmp_path / "seg.dcm")
    disc = hd.seg.segread(path).get_segment_description(1)
    assert disc.segmented_property_type.value == "84020006"
    assert "SegmentDescription" not in disc


def test_every_measure_is_reported_once_with_its_value_and_unit(written):
    study, _, sr, _ = written
    distances, areas = groups_of(sr)
    units = {"mm": "mm", "mm²": "mm2", "": "{ratio}"}
    expected, found = {}, {}
    for result in study.slices:
        for name, value in (result.measurements.values() if result.measurements else {}).items():
            if value is not None:
                expected[result.name, MEASUREMENTS[name].title] = (pytest.approx(value), units[MEASUREMENTS[name].unit])
    for group in (*distances, *areas):
        slice_name = group.tracking_identifier.split(":")[0].split(", ")[-1]
        for one in group.get_measurements():
            if one.method.value != "PIXEL_COUNT":
                assert (slice_name, one.method.meaning) not in found
                found[slice_name, one.method.meaning] = (one.value, one.unit.value)
    assert len(expected) > 30
    assert found == expected


@pytest.mark.parametrize("support", [None, Support(118, 40)])
def test_every_interval_says_what_it_rests_on(study, tmp_path, support):
    (disc, *_) = (result for result in study.slices if result.level == "L4/5")
    disc = replace(disc, intervals={name: replace(one, support=support) for name, one in disc.intervals.items()})
    only = replace(study, slices=(disc,))
    write_sr(only, tmp_path / "sr.dcm", write_seg(only, tmp_path / "seg.dcm"))
    texts = [element.value for element in header(tmp_path / "sr.dcm").iterall() if element.keyword == "TextValue"]
    told = [text for text in texts if text.startswith("95 % interval")]
    basis = "calibrated on 118 slices of 40 patients" if support else "spread of models or views only, not calibrated"
    assert len(disc.intervals) > 10
    assert len(told) == len(disc.intervals)
    assert all(text.endswith(f", {basis}") for text in told)
    area = disc.intervals["sac_area_mm2"]
    assert f"95 % interval {area.low:.2f} to {area.high:.2f} mm², {basis}" in told


def test_a_distance_is_the_length_of_a_line_where_it_was_taken(written):
    study, _, sr, _ = written
    distances, _ = groups_of(sr)
    lines = 0
    for group, result in zip(distances, study.slices, strict=True):
        image = header(result.sources[0])
        height, width = map(float, image.PixelSpacing)
        across, down = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
        corner = np.array(image.ImagePositionPatient, dtype=float)
        place = ImageToReferenceTransformer(
            image.ImagePositionPatient, image.ImageOrientationPatient, image.PixelSpacing
        )
        for one in group.get_measurements():
            if one.unit.value != "mm":
                assert one.referenced_coordinates == []
                continue
            (line,) = one.referenced_coordinates
            source = line.ContentSequence[0].ReferencedSOPSequence[0]
            assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
            ends = place(line.value)
            assert np.linalg.norm(ends[1] - ends[0]) == pytest.approx(one.value, abs=1e-3)
            (caliper,) = (
                caliper
                for name, caliper in result.measurements.calipers.items()
                if MEASUREMENTS[name].title == one.method.meaning
            )
            for (x, y), end in zip((caliper.start, caliper.end), ends, strict=True):
                np.testing.assert_allclose(end, corner + x * width * across + y * height * down, atol=1e-3)
            lines += 1
    assert lines == 3 * 8


def test_an_area_refers_to_what_it_is_the_area_of(written):
    study, segs, sr, _ = written
    datasets = {str(header(path).SOPInstanceUID): header(path) for path in segs}
    results = {str(header(result.sources[0]).SOPInstanceUID): result for result in study.slices}
    _, areas = groups_of(sr)
    checked = 0
    for group in areas:
        (area, *_) = group.get_measurements()
        frame = group.referenced_segmentation_frame
        if frame is None:
            x, y = (group.roi.value * np.array(study.slices[0].spacing)).T
            area_of = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
            assert area.value == pytest.approx(area_of, rel=1e-3)
            continue
        seg = datasets[str(frame.referenced_sop_instance_uid)]
        (number,) = frame.referenced_frame_numbers
        item = seg.PerFrameFunctionalGroupsSequence[number - 1]
        source = str(item.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID)
        assert source == str(frame.source_image_for_segmentation.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        label = LUMBAR[LUMBAR.anatomical[item.SegmentIdentificationSequence[0].ReferencedSegmentNumber - 1]]
        counted = (results[source].classes == LUMBAR.keys.index(label.key)).sum() * np.prod(results[source].spacing)
        assert area.value == pytest.approx(counted, rel=0.1)
        checked += 1
    assert checked == 2 * 3


def test_levels_findings_flags_and_what_was_not_measured(written):
    study, _, sr, _ = written
    distances, _ = groups_of(sr)
    assert len(distances) == len(study.slices)
    levels = {"L3/4": "243922006", "L4/5": "243923001", "L5/S1": "243927000", None: "122496007"}
    for group, result in zip(distances, study.slices, strict=True):
        assert [site.value.value for site in group.finding_sites] == [levels[result.level]]
        said = [item.value for item in group[0].ContentSequence if item.value_type == hd.sr.ValueTypeValues.TEXT]
        for finding in result.findings:
            assert "below the published threshold of" in str(finding)
            assert str(finding) in said
        assert {flag.message for flag in result.flags} <= set(said)
        if result.not_measured:
            assert result.not_measured in said
        sites = [one.value.meaning.lower() for one in group.get_qualitative_evaluations() if one.name.value == "SITE"]
        assert sites == list(result.sites)
    assert any(result.findings for result in study.slices)
    assert any(result.flags for result in study.slices)


def test_the_report_names_its_models_and_disclaims(written):
    study, segs, sr, _ = written
    report = hd.sr.srread(sr)
    for group in report.content.get_image_measurement_groups():
        made_with = [item.value for item in group[0].ContentSequence if item.name == codes.DCM.AlgorithmParameters]
        assert made_with == [f"{model.name} sha256:{model.sha256}" for model in MODELS]
    remarks = [item.value for item in report.content[0].ContentSequence if item.name == codes.DCM.Comment]
    assert remarks == [study.disclaimer, "A remark."]
    evidence = {uid for _, _, uid, _ in report.get_evidence()}
    assert evidence == {str(header(path).SOPInstanceUID) for result in study.slices for path in result.sources} | {
        str(header(path).SOPInstanceUID) for path in segs
    }


def test_identity_is_kept_only_on_demand(written):
    study, segs, sr, keep = written
    source = header(study.slices[0].sources[0])
    for path in (*segs, sr):
        dataset = header(path)
        assert dataset.StudyInstanceUID == source.StudyInstanceUID
        for keyword, value in IDENTITY.items():
            assert str(dataset.get(keyword) or "") == (value if keep else "")
        if not keep:
            raw = path.read_bytes()
            for value in {*IDENTITY.values(), "Österreicher", "Käthe"}:
                for encoding in ("utf-8", "latin-1"):
                    assert value.encode(encoding) not in raw


def test_dates_that_are_none_are_not_kept(study, tmp_path):
    first = study.slices[0]
    dataset = pydicom.dcmread(first.sources[0])
    with pydicom.config.disable_value_validation():
        dataset.PatientBirthDate, dataset.StudyDate, dataset.StudyTime = "about 1950", "20160309", "noon"
        dataset.save_as(tmp_path / "odd.dcm")
    odd = replace(study, slices=(replace(first, sources=(tmp_path / "odd.dcm",)),))
    (path,) = write_seg(odd, tmp_path / "seg.dcm", keep_identity=True)
    written = header(path)
    assert (written.PatientBirthDate, written.StudyDate, written.StudyTime) == ("", "20160309", "")
    assert written.PatientID == IDENTITY["PatientID"]


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_finds_no_error(written):
    _, segs, sr, _ = written
    for path in (*segs, sr):
        done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
        assert errors == []
        assert "Segmentation" in done.stdout + done.stderr or "ComprehensiveSR" in done.stdout + done.stderr


def test_nothing_is_written_of_what_was_no_dicom(tmp_path):
    study = phantom_study(levels=("D4",))
    assert write_seg(study, tmp_path / "seg.dcm") == ()
    assert write_sr(study, tmp_path / "sr.dcm", ()) is None
    assert list(tmp_path.iterdir()) == []


def test_one_direction_takes_one_file(study, tmp_path):
    (disc, *_) = (result for result in study.slices if result.level == "L4/5")
    assert write_seg(replace(study, slices=(disc,)), tmp_path / "seg.dcm") == (tmp_path / "seg.dcm",)


def test_a_label_map_that_lies_on_no_source_is_refused(study, tmp_path):
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


@pytest.mark.parametrize("axes", [(0,), (0, 1)], ids=str)
def test_images_stored_the_other_way_round_are_met_as_they_are_stored(study, tmp_path, axes):
    """A slice is read upright; SEG and SR speak of the pixels in the file."""
    (disc, *_) = (result for result in study.slices if result.level == "L4/5")
    dataset = pydicom.dcmread(disc.sources[0])
    directions = np.reshape(dataset.ImageOrientationPatient, (2, 3)).astype(float)[::-1]
    corner = np.array(dataset.ImagePositionPatient, dtype=float)
    for axis in axes:
        corner += (disc.classes.shape[axis] - 1) * float(dataset.PixelSpacing[axis]) * directions[axis]
        directions[axis] *= -1
    dataset.ImagePositionPatient = [f"{value:.8f}" for value in corner]
    dataset.ImageOrientationPatient = [f"{value:.8f}" for value in directions[::-1].ravel()]
    dataset.PixelData = np.flip(dataset.pixel_array, axes).tobytes()
    dataset.save_as(tmp_path / "flipped.dcm")
    turned = replace(study, slices=(replace(disc, sources=(tmp_path / "flipped.dcm",)),))

    segs = write_seg(turned, tmp_path / "seg.dcm")
    seg = hd.seg.segread(segs[0])
    pixels = seg.get_pixels_by_source_instance([dataset.SOPInstanceUID])[0]
    for place, index in enumerate(LUMBAR.anatomical):
        np.testing.assert_array_equal(np.flip(pixels[..., place], axes) > 0, disc.classes == index)

    sr = write_sr(turned, tmp_path / "sr.dcm", segs)
    there = ImageToReferenceTransformer(
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing
    )
    upright = header(disc.sources[0])
    here = ImageToReferenceTransformer(
        upright.ImagePositionPatient, upright.ImageOrientationPatient, upright.PixelSpacing
    )
    calipers = {MEASUREMENTS[name].title: caliper for name, caliper in disc.measurements.calipers.items()}
    distances, areas = groups_of(sr)
    lines = [one for group in distances for one in group.get_measurements() if one.referenced_coordinates]
    assert len(lines) == 8
    for one in lines:
        caliper = calipers[one.method.meaning]
        ends = np.array((caliper.start, caliper.end)) + 0.5
        np.testing.assert_allclose(there(one.referenced_coordinates[0].value), here(ends), atol=1e-3)
    (canal,) = (group for group in areas if group.roi is not None)
    assert there(canal.roi.value).mean(axis=0) == pytest.approx(
        here(disc.measurements.outlines["canal_area_mm2"][0] + 0.5).mean(axis=0), abs=0.2
    )
