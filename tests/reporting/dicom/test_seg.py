"""SEG files as other programs read them: segments, pixels, positions and codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
from highdicom.spatial import PixelToReferenceTransformer

from lss_lightning.reporting.dicom import write_seg
from tests.reporting.dicom.files import read_header
from tests.reporting.studies import LABELS, MODELS


def test_one_file_per_orientation(written):
    study, segs, _, _ = written
    orientations = {tuple(read_header(result.sources[0]).ImageOrientationPatient) for result in study.slices}
    assert len(orientations) == 3
    assert [path.name for path in segs] == ["seg_1.dcm", "seg_2.dcm", "seg_3.dcm"]
    written_orientations = {
        tuple(read_header(path).SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0].ImageOrientationPatient)
        for path in segs
    }
    assert written_orientations == orientations


def test_a_single_orientation_is_written_without_number(study, tmp_path):
    (disc, *_) = (result for result in study.slices if result.level == "L4/5")
    assert write_seg(replace(study, slices=(disc,)), tmp_path / "seg.dcm") == (tmp_path / "seg.dcm",)


def test_segments_overlay_their_source_pixel_by_pixel(written):
    study, segs, _, _ = written
    by_source = {str(read_header(result.sources[0]).SOPInstanceUID): result for result in study.slices}
    checked = set()
    for path in segs:
        seg = hd.seg.segread(path)
        assert seg.SegmentationType == "BINARY"
        assert [segment.segment_label for segment in map(seg.get_segment_description, seg.segment_numbers)] == [
            LABELS[index].name for index in LABELS.anatomical
        ]
        sources = [source for _, _, source in seg.get_source_image_uids() if source in by_source]
        pixels = seg.get_pixels_by_source_instance(sources)
        for uid, frames in zip(sources, pixels, strict=True):
            for segment, index in enumerate(LABELS.anatomical):
                np.testing.assert_array_equal(frames[..., segment] > 0, by_source[uid].classes == index)
            checked.add(uid)
    assert checked == set(by_source)


def test_frames_have_the_position_of_their_source(written):
    study, segs, _, _ = written
    headers = [read_header(result.sources[0]) for result in study.slices]
    images = {str(header.SOPInstanceUID): header for header in headers}
    corners = np.array([[0, 0], [95, 0], [0, 95], [95, 95]])
    for path in segs:
        seg = pydicom.dcmread(path)
        shared = seg.SharedFunctionalGroupsSequence[0]
        assert len(seg.PerFrameFunctionalGroupsSequence) == seg.NumberOfFrames == len(seg.pixel_array)
        for frame, pixels in zip(seg.PerFrameFunctionalGroupsSequence, seg.pixel_array, strict=True):
            assert pixels.any()  # classes that are absent have no frame
            source = frame.DerivationImageSequence[0].SourceImageSequence[0]
            image = images[source.ReferencedSOPInstanceUID]
            frame_to_patient = PixelToReferenceTransformer(
                frame.PlanePositionSequence[0].ImagePositionPatient,
                shared.PlaneOrientationSequence[0].ImageOrientationPatient,
                shared.PixelMeasuresSequence[0].PixelSpacing,
            )
            image_to_patient = PixelToReferenceTransformer(
                image.ImagePositionPatient, image.ImageOrientationPatient, image.PixelSpacing
            )
            np.testing.assert_allclose(frame_to_patient(corners), image_to_patient(corners), atol=1e-6)
            assert seg.FrameOfReferenceUID == image.FrameOfReferenceUID


def test_segments_identify_structures_and_checkpoints(written):
    _, segs, _, _ = written
    discs = [("62551000", "SCT"), ("84020006", "SCT"), ("715056000", "SCT")]  # PS3.16, CID 7604: L3/L4, L4/L5, L5/S1
    for path, disc in zip(segs, discs, strict=True):
        seg = hd.seg.segread(path)
        segments = [seg.get_segment_description(number) for number in seg.segment_numbers]
        types = [segment.segmented_property_type for segment in segments]
        assert [(code.value, code.scheme_designator) for code in types] == [
            disc,
            ("POSTERIOR_ELEM", "99LSS"),
            ("THECAL_SAC", "99LSS"),
            ("AAP", "99LSS"),
            ("VERTEBRAL_BODY", "99LSS"),
        ]
        assert ["assumed" in segment.get("SegmentDescription", "") for segment in segments] == [*[True] * 4, False]
    for number in seg.segment_numbers:
        algorithms: Any = seg.get_segment_description(number).algorithm_identification
        for model in MODELS:
            assert f"{model.name} sha256:{model.sha256}" in algorithms[0].AlgorithmParameters
    assert "not a medical device" in seg.ContentDescription
    assert [scheme.CodingSchemeDesignator for scheme in seg.CodingSchemeIdentificationSequence] == ["99LSS"]


def test_a_disc_is_coded_only_on_slices_through_a_disc(written):
    study, segs, _, _ = written
    contents = {str(read_header(result.sources[0]).SOPInstanceUID): result.content for result in study.slices}
    assert set(contents.values()) == {"disc", "vertebra"}
    coded = set()
    for path in segs:
        for groups in read_header(path).PerFrameFunctionalGroupsSequence:
            source = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
            coded.add((int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber), contents[source]))
    assert {content for segment, content in coded if segment == 1} == {"disc"}
    assert {content for segment, content in coded if segment == 5} == {"vertebra"}


def test_series_descriptions_tell_segmentations_apart(written, study, tmp_path):
    _, segs, _, _ = written
    descriptions = [read_header(path).SeriesDescription for path in segs]
    assert descriptions == [
        f"Lumbar anatomy {number} of 3: {level} assumed, research use only"
        for number, level in enumerate(("L3/4", "L4/5", "L5/S1"), start=1)
    ]
    unknown = [replace(result, level=None, level_source="unknown") for result in study.slices]
    segs = write_seg(replace(study, slices=tuple(unknown)), tmp_path / "seg.dcm")
    descriptions = [str(read_header(path).SeriesDescription) for path in segs]
    assert descriptions[0].startswith("Lumbar anatomy 1 of 3: slices 01 to 0")
    assert len(set(descriptions)) == 3
    assert max(map(len, descriptions)) <= 64


def test_implausible_slices_have_no_segmentation(study, tmp_path):
    first, *others = study.slices
    (one, *_) = write_seg(replace(study, slices=(replace(first, is_plausible=False), *others)), tmp_path / "seg.dcm")
    sources = {source for _, _, source in hd.seg.segread(one).get_source_image_uids()}
    assert str(read_header(first.sources[0]).SOPInstanceUID) not in sources
    assert sources
    brain = replace(study, slices=tuple(replace(result, is_plausible=False) for result in study.slices))
    assert write_seg(brain, tmp_path / "brain.dcm") == ()
    assert not (tmp_path / "brain.dcm").exists()


def test_a_disc_of_unknown_level_has_a_private_code(study, tmp_path):
    slices = [replace(result, level=None, level_source="unknown") for result in study.slices if result.level == "L4/5"]
    (path,) = write_seg(replace(study, slices=tuple(slices)), tmp_path / "seg.dcm")
    disc = hd.seg.segread(path).get_segment_description(1)
    assert disc.segmented_property_type == hd.sr.CodedConcept("INTERVERT_DISC", "99LSS", "Intervertebral disc")
    assert "SegmentDescription" not in disc


def test_a_given_level_is_not_called_assumed(study, tmp_path):
    slices = [replace(result, level_source="given") for result in study.slices if result.level == "L4/5"]
    (path,) = write_seg(replace(study, slices=tuple(slices)), tmp_path / "seg.dcm")
    disc = hd.seg.segread(path).get_segment_description(1)
    assert disc.segmented_property_type.value == "84020006"
    assert "SegmentDescription" not in disc
