"""Study results of the phantom with its true label maps, with and without DICOM source files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lss_lightning.data.composite import stretch_to_uint8
from lss_lightning.data.dicom.archive import RAW_FOLDER
from lss_lightning.data.dicom.images import read_dicom_image, read_pixels
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import render_slice
from lss_lightning.phantom.dicom import T1_SERIES, T2_SERIES, write_study
from lss_lightning.phantom.patient import StenosisSite, sample_patient
from lss_lightning.phantom.render import draw_body
from lss_lightning.phantom.vertebra import SliceHeight
from lss_lightning.stenosis import MeasurementInterval, SliceMeasurements, apply_criteria, find_sites
from lss_lightning.stenosis.study import LEVEL_KEYS, Geometry, ModelIdentity, SliceResult, StudyResult, extend_labels
from lss_lightning.stenosis.uncertainty import measure_ensemble

SEED, PATIENT = 4, 5
MODELS = (ModelIdentity("resunet-resnet34", "ab" * 32), ModelIdentity("vgg16_unet-vgg16", "cd" * 32))
LEVEL_NAMES = {key: level for level, key in LEVEL_KEYS.items()}


LABELS = extend_labels(LUMBAR, ["disc", "vertebra"])


def make_slice(
    name, level, classes, images, *, spacing, image_left="right", not_measured=None, content="disc", **other
):
    """Make a slice and measure its label map, as an ensemble of two members that differ slightly."""
    exact = np.stack([classes == index for index in range(len(LUMBAR))]).astype(np.float32)
    members = np.stack([exact, 0.8 * exact + 0.2 * np.roll(exact, 1, axis=-1)])
    measurements: SliceMeasurements | None = None
    intervals: dict[str, MeasurementInterval] = {}
    if not_measured is None:
        measurements, intervals, _ = measure_ensemble(members, LUMBAR, spacing, image_left)
    findings = apply_criteria(measurements.values(), LEVEL_KEYS.get(level), intervals) if measurements else ()
    if content == "vertebra":
        classes = np.where(classes == 1, LABELS.keys.index("vertebral_body"), classes).astype(np.uint8)
    return SliceResult(
        name=name,
        level=level,
        level_source="assigned" if level else "unknown",
        content=content,
        is_plausible=True,
        not_measured=not_measured,
        images=images,
        classes=classes,
        probabilities=members.mean(axis=0),
        spacing=spacing,
        image_left=image_left,
        measurements=measurements,
        intervals=intervals,
        findings=findings,
        sites=find_sites(findings),
        flags=measurements.flags if measurements else (),
        **{"geometry": None, "sources": (), **other},
    )


def make_study(slices):
    return StudyResult(name="study_1", slices=tuple(slices), labels=LABELS, models=MODELS, remarks=("A remark.",))


def make_phantom_study(size=96, levels=("D3", "D4", "D5")):
    """Make a study of disc slices of a phantom patient, without source files, and a last slice that is not measured."""
    slices, spacing = [], (220 / size, 220 / size)
    for number, level in enumerate(levels, start=1):
        rendered = render_slice(SEED, PATIENT, level, size)
        images = {"T1": rendered.t1, "T2": rendered.t2}
        slices.append(make_slice(f"slice_{number:02d}", LEVEL_NAMES[level], rendered.label, images, spacing=spacing))
    name = f"slice_{len(slices) + 1:02d}"
    vertebra = {"not_measured": "it shows no disc", "content": "vertebra"}
    slices.append(make_slice(name, None, rendered.label, images, spacing=spacing, **vertebra))
    return make_study(slices)


def make_dicom_study(folder: Path, size=96, patient=PATIENT):
    """Make a study of a phantom examination in DICOM, with the true label maps; the sides are unknown at L5/S1."""
    truth = write_study(folder, seed=SEED, patient=patient, image_size=size)
    (examination,) = (folder / RAW_FOLDER / f"{patient:04d}").iterdir()
    t1, t2 = (sorted((examination / series).iterdir()) for series in (T1_SERIES, T2_SERIES))
    slices = []
    for slice_, t1_path, t2_path in zip(truth, t1, t2, strict=True):
        plane = read_dicom_image(str(t1_path), _read).required_plane
        images = {weighting: _to_uint8(path) for weighting, path in (("T1", t1_path), ("T2", t2_path))}
        is_disc = slice_.content == "disc"
        slices.append(
            make_slice(
                f"slice_{slice_.number:02d}",
                LEVEL_NAMES[slice_.level] if is_disc else None,
                _true_label(slice_, size),
                images,
                spacing=plane.spacing,
                image_left=None if slice_.level == "D5" else "right",
                not_measured=None if is_disc else "it lies in a vertebra",
                content="disc" if is_disc else "vertebra",
                geometry=Geometry(
                    origin=tuple(plane.corner), row=tuple(plane.across), column=tuple(plane.down), thickness=4.0
                ),
                sources=(t1_path, t2_path),
            )
        )
    return make_study(slices)


def _true_label(slice_, size):
    patient = sample_patient(SEED, slice_.patient_id, slice_.level)
    if slice_.content == "disc":
        return draw_body(SEED, slice_.patient_id, patient, size).canvas.pixel_labels()
    patient = replace(patient, severity=0.0, site=StenosisSite.NONE)
    return draw_body(SEED, slice_.patient_id, patient, size, SliceHeight.PEDICLE).canvas.pixel_labels()


def _read(name):
    return Path(name).read_bytes()


def _to_uint8(path):
    pixels = read_pixels(str(path), _read)
    return stretch_to_uint8(pixels, np.ones(pixels.shape, dtype=bool))
