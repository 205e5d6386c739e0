"""SR files as other programs read them: measurements, regions, findings and references."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from highdicom.spatial import ImageToReferenceTransformer
from pydicom.sr.codedict import codes

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.dicom import write_seg, write_sr
from lss_lightning.stenosis import MEASUREMENTS, Support
from tests.reporting.dicom.files import read_groups, read_header
from tests.reporting.studies import MODELS


def test_each_measurement_is_reported_once_with_value_and_unit(written):
    study, _, sr, _ = written
    distances, areas = read_groups(sr)
    units = {"mm": "mm", "mm²": "mm2", "": "{ratio}"}
    expected, reported = {}, {}
    for result in study.slices:
        for name, value in (result.measurements.values() if result.measurements else {}).items():
            if value is not None:
                expected[result.name, MEASUREMENTS[name].title] = (
                    round(value, MEASUREMENTS[name].decimals),
                    units[MEASUREMENTS[name].unit],
                )
    for group in (*distances, *areas):
        slice_name = group.tracking_identifier.split(":")[0].split(", ")[-1]
        for measurement in group.get_measurements():
            if measurement.method.value != "PIXEL_COUNT":
                assert (slice_name, measurement.method.meaning) not in reported
                reported[slice_name, measurement.method.meaning] = (measurement.value, measurement.unit.value)
    assert len(expected) > 30
    assert reported == expected


@pytest.mark.parametrize("support", [None, Support(118, 40)])
def test_each_interval_states_its_basis(study, tmp_path, support):
    (disc, *_) = (result for result in study.slices if result.level == "L4/5")
    intervals = {name: replace(interval, support=support) for name, interval in disc.intervals.items()}
    disc = replace(disc, intervals=intervals)
    study = replace(study, slices=(disc,))
    write_sr(study, tmp_path / "sr.dcm", write_seg(study, tmp_path / "seg.dcm"))
    elements = read_header(tmp_path / "sr.dcm").iterall()
    texts = [element.value for element in elements if element.keyword == "TextValue"]
    stated = [text for text in texts if text.startswith("95 % interval")]
    basis = "calibrated on 118 slices of 40 patients" if support else "spread of models or views only, not calibrated"
    assert len(disc.intervals) > 10
    assert len(stated) == len(disc.intervals)
    assert all(text.endswith(f", {basis}") for text in stated)
    area = disc.intervals["sac_area_mm2"]
    assert f"95 % interval {area.low:.0f} to {area.high:.0f} mm², {basis}" in stated


def test_a_value_without_an_interval_has_no_known_error(study, tmp_path):
    (disc, *_) = (result for result in study.slices if result.level == "L4/5")
    unknown = replace(study, slices=(replace(disc, intervals={}, findings=()),))
    write_sr(unknown, tmp_path / "sr.dcm", ())
    elements = read_header(tmp_path / "sr.dcm").iterall()
    comments = [element.value for element in elements if element.keyword == "TextValue"]
    values = [value for value in disc.measurements.values().values() if value is not None]
    assert comments.count("no error known") == len(values)
    assert not [text for text in comments if "nan" in text or "95 %" in text]


def test_a_slice_of_unknown_kind_is_not_compared_and_its_area_is_not_called_a_disc(study, tmp_path):
    (disc, *_) = (result for result in study.slices if result.level == "L4/5")
    outlines = dict(disc.measurements.outlines)
    outlines["disc_or_vertebral_body"] = outlines.pop("intervertebral_disc")
    unclear = replace(
        disc, content="unknown", findings=(), sites=(), measurements=replace(disc.measurements, outlines=outlines)
    )
    write_sr(replace(study, slices=(unclear,)), tmp_path / "sr.dcm", ())
    _, areas = read_groups(tmp_path / "sr.dcm")
    types = {group.get_measurements()[0].method.value: group.finding_type.meaning for group in areas}
    assert types["DISC_AREA"] == "Intervertebral disc or body of vertebra"
    elements = read_header(tmp_path / "sr.dcm").iterall()
    assert not [e for e in elements if e.keyword == "TextValue" and e.value.startswith("probability")]


def test_a_distance_is_the_length_of_its_line_on_the_image(written):
    study, _, sr, _ = written
    distances, _ = read_groups(sr)
    lines = 0
    for group, result in zip(distances, study.slices, strict=True):
        image = read_header(result.sources[0])
        height, width = map(float, image.PixelSpacing)
        across, down = np.reshape(image.ImageOrientationPatient, (2, 3)).astype(float)
        corner = np.array(image.ImagePositionPatient, dtype=float)
        to_patient = ImageToReferenceTransformer(
            image.ImagePositionPatient, image.ImageOrientationPatient, image.PixelSpacing
        )
        for measurement in group.get_measurements():
            if measurement.unit.value != "mm":
                assert measurement.referenced_coordinates == []
                continue
            (line,) = measurement.referenced_coordinates
            source = line.ContentSequence[0].ReferencedSOPSequence[0]
            assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
            ends = to_patient(line.value)
            assert round(float(np.linalg.norm(ends[1] - ends[0])), 1) == pytest.approx(measurement.value)
            (caliper,) = (
                caliper
                for name, caliper in result.measurements.calipers.items()
                if MEASUREMENTS[name].title == measurement.method.meaning
            )
            for (x, y), end in zip((caliper.start, caliper.end), ends, strict=True):
                np.testing.assert_allclose(end, corner + x * width * across + y * height * down, atol=1e-3)
            lines += 1
    assert lines == 3 * 8


def test_an_area_refers_to_its_segment_or_outline(written):
    study, segs, sr, _ = written
    datasets = {str(read_header(path).SOPInstanceUID): read_header(path) for path in segs}
    results = {str(read_header(result.sources[0]).SOPInstanceUID): result for result in study.slices}
    _, areas = read_groups(sr)
    checked = 0
    for group in areas:
        (area, *_) = group.get_measurements()
        frame = group.referenced_segmentation_frame
        if frame is None:
            x, y = (group.roi.value * np.array(study.slices[0].spacing)).T
            outlined = abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2
            assert area.value == pytest.approx(outlined, rel=1e-3, abs=0.5)
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


def test_a_group_holds_level_findings_flags_and_the_reason_for_not_measuring(written):
    study, _, sr, _ = written
    distances, _ = read_groups(sr)
    assert len(distances) == len(study.slices)
    levels = {"L3/4": "243922006", "L4/5": "243923001", "L5/S1": "243927000", None: "122496007"}
    for group, result in zip(distances, study.slices, strict=True):
        assert [site.value.value for site in group.finding_sites] == [levels[result.level]]
        texts = [item.value for item in group[0].ContentSequence if item.value_type == hd.sr.ValueTypeValues.TEXT]
        for finding in result.findings:
            assert "below the published threshold of" in str(finding)
            assert str(finding) in texts
        assert {flag.message for flag in result.flags} <= set(texts)
        if result.not_measured:
            assert result.not_measured in texts
        evaluations = group.get_qualitative_evaluations()
        sites = [item.value.meaning.lower() for item in evaluations if item.name.value == "SITE"]
        assert sites == list(result.sites)
    assert any(result.findings for result in study.slices)
    assert any(result.flags for result in study.slices)


def test_the_report_names_its_checkpoints_and_disclaimer(written):
    study, segs, sr, _ = written
    report = hd.sr.srread(sr)
    content: Any = report.content
    for group in content.get_image_measurement_groups():
        parameters = [item.value for item in group[0].ContentSequence if item.name == codes.DCM.AlgorithmParameters]
        assert parameters == [f"{model.name} sha256:{model.sha256}" for model in MODELS]
    remarks = [item.value for item in content[0].ContentSequence if item.name == codes.DCM.Comment]
    assert remarks == [study.disclaimer, "A remark."]
    evidence = {uid for _, _, uid, _ in report.get_evidence()}
    sources = [path for result in study.slices for path in result.sources]
    assert evidence == {str(read_header(path).SOPInstanceUID) for path in (*sources, *segs)}
