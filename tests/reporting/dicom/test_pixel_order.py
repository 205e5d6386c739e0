"""Images that are stored in another orientation than they are read in."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom.spatial import ImageToReferenceTransformer

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting.dicom import write_seg, write_sr
from lss_lightning.stenosis import MEASUREMENTS
from tests.reporting.dicom.files import read_groups, read_header


@pytest.mark.parametrize("transposed", [False, True], ids=["", "transposed"])
@pytest.mark.parametrize("axes", [(), (0,), (1,), (0, 1)], ids=str)
def test_seg_and_sr_refer_to_the_stored_pixels(study, tmp_path, axes, transposed):
    """Slices are read upright, but SEG and SR must refer to the pixel order of the file."""

    def store(pixels):
        return np.flip(pixels.T if transposed else pixels, axes)

    (disc, *_) = (result for result in study.slices if result.level == "L4/5")
    dataset = pydicom.dcmread(disc.sources[0])
    directions = np.reshape(dataset.ImageOrientationPatient, (2, 3)).astype(float)[::-1]
    corner = np.array(dataset.ImagePositionPatient, dtype=float)
    if transposed:
        directions = directions[::-1].copy()
    for axis in axes:
        corner += (disc.classes.shape[axis] - 1) * float(dataset.PixelSpacing[axis]) * directions[axis]
        directions[axis] *= -1
    dataset.ImagePositionPatient = [f"{value:.8f}" for value in corner]
    dataset.ImageOrientationPatient = [f"{value:.8f}" for value in directions[::-1].ravel()]
    dataset.PixelData = store(dataset.pixel_array).tobytes()
    dataset.save_as(tmp_path / "stored.dcm")
    stored = replace(study, slices=(replace(disc, sources=(tmp_path / "stored.dcm",)),))

    segs = write_seg(stored, tmp_path / "seg.dcm")
    seg = hd.seg.segread(segs[0])
    pixels = seg.get_pixels_by_source_instance([dataset.SOPInstanceUID])[0]
    for segment, index in enumerate(LUMBAR.anatomical):
        np.testing.assert_array_equal(pixels[..., segment] > 0, store(disc.classes == index))

    sr = write_sr(stored, tmp_path / "sr.dcm", segs)
    stored_to_patient = ImageToReferenceTransformer(
        dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.PixelSpacing
    )
    upright = read_header(disc.sources[0])
    upright_to_patient = ImageToReferenceTransformer(
        upright.ImagePositionPatient, upright.ImageOrientationPatient, upright.PixelSpacing
    )
    calipers = {MEASUREMENTS[name].title: caliper for name, caliper in disc.measurements.calipers.items()}
    distances, areas = read_groups(sr)
    measurements = [item for group in distances for item in group.get_measurements() if item.referenced_coordinates]
    assert len(measurements) == 8
    for measurement in measurements:
        caliper = calipers[measurement.method.meaning]
        ends = np.array((caliper.start, caliper.end)) + 0.5
        line = measurement.referenced_coordinates[0].value
        np.testing.assert_allclose(stored_to_patient(line), upright_to_patient(ends), atol=1e-3)
    (canal,) = (group for group in areas if group.roi is not None)
    assert stored_to_patient(canal.roi.value).mean(axis=0) == pytest.approx(
        upright_to_patient(disc.measurements.outlines["canal_area_mm2"][0] + 0.5).mean(axis=0), abs=0.2
    )
