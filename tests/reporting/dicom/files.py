"""Reading of SEG and SR files in tests."""

from __future__ import annotations

from typing import Any

import highdicom as hd
import pydicom

IDENTITY = {
    "PatientName": "Österreicher^Käthe",
    "PatientID": "ID-77-3141",
    "PatientBirthDate": "19500607",
    "AccessionNumber": "ACC-2718",
}
"""Identifying attributes of the source images."""


def read_header(path):
    return pydicom.dcmread(path, stop_before_pixels=True)


def read_groups(path):
    """Return the groups of distances and the groups of areas of a report."""
    content: Any = hd.sr.srread(path).content
    return content.get_image_measurement_groups(), content.get_planar_roi_measurement_groups()
