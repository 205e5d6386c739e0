"""Study results made by hand: the phantom's DICOM files with its true label maps, and slices without any file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from lss_lightning.data.composite import to_bytes
from lss_lightning.data.dicom.archive import RAW
from lss_lightning.data.dicom.images import read_dicom_image, read_pixels
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import render_slice
from lss_lightning.phantom.dicom import T1_SERIES, T2_SERIES, write_phantom_study
from lss_lightning.phantom.patient import StenosisSite, sample_subject
from lss_lightning.phantom.render import draw_body
from lss_lightning.phantom.vertebra import Height
from lss_lightning.stenosis import find_findings, find_sites
from lss_lightning.stenosis.study import LEVELS, Geometry, ModelIdentity, SliceResult, StudyResult
from lss_lightning.stenosis.uncertainty import measure_members

SEED, PATIENT = 4, 5
MODELS = (ModelIdentity("resunet-resnet34", "ab" * 32), ModelIdentity("vgg16_unet-vgg16", "cd" * 32))
PRINTED = {key: level for level, key in LEVELS.items()}


def slice_result(name, level, classes, images, *, spacing, image_left="right", not_measured=None, **other):
    """A slice with the measures of its label map, as two members of an ensemble that differ a little."""
    whole = np.stack([classes == index for index in range(len(LUMBAR))]).astype(np.float32)
    members = np.stack([whole, 0.8 * whole + 0.2 * np.roll(whole, 1, axis=-1)])
    measured, intervals, flags = None, {}, ()
    if not_measured is None:
        measured, intervals, _ = measure_members(members, LUMBAR, spacing, image_left)
        flags = measured.flags
    findings = find_findings(measured.values(), LEVELS.get(level)) if measured else ()
    return SliceResult(
        name=name,
        level=level,
        level_source="assigned" if level else "unknown",
        not_measured=not_measured,
        images=images,
        classes=classes,
        probabilities=members.mean(axis=0),
        spacing=spacing,
        image_left=image_left,
        measurements=measured,
        intervals=intervals,
        findings=findings,
        sites=find_sites(findings),
        flags=flags,
        **{"geometry": None, "sources": (), **other},
    )


def study_result(slices):
    return StudyResult(name="study_1", slices=tuple(slices), labels=LUMBAR, models=MODELS, remarks=("A remark.",))


def phantom_study(size=96, levels=("D3", "D4", "D5")):
    """Disc slices of a phantom patient, as if given as PNG with their spacing, and one that is not measured."""
    slices, spacing = [], (220 / size, 220 / size)
    for number, level in enumerate(levels, start=1):
        rendered = render_slice(SEED, PATIENT, level, size)
        images = {"T1": rendered.t1, "T2": rendered.t2}
        slices.append(slice_result(f"slice_{number:02d}", PRINTED[level], rendered.label, images, spacing=spacing))
    name = f"slice_{len(slices) + 1:02d}"
    slices.append(slice_result(name, None, rendered.label, images, spacing=spacing, not_measured="it shows no disc"))
    return study_result(slices)


def dicom_study(folder: Path, size=96, patient=PATIENT):
    """A phantom examination, all of its slices, with the true label maps on T1's grid; sides are unknown at L5/S1."""
    truth = write_phantom_study(folder, seed=SEED, patient=patient, image_size=size)
    (examination,) = (folder / RAW / f"{patient:04d}").iterdir()
    t1, t2 = (sorted((examination / series).iterdir()) for series in (T1_SERIES, T2_SERIES))
    slices = []
    for piece, first, second in zip(truth, t1, t2, strict=True):
        plane = read_dicom_image(str(first), _read).grid
        images = {kind: _bytes(path) for kind, path in (("T1", first), ("T2", second))}
        is_disc = piece.content == "disc"
        slices.append(
            slice_result(
                f"slice_{piece.number:02d}",
                PRINTED[piece.level] if is_disc else None,
                _true_label(piece, size),
                images,
                spacing=plane.spacing,
                image_left=None if piece.level == "D5" else "right",
                not_measured=None if is_disc else "it lies in a vertebra",
                geometry=Geometry(
                    origin=tuple(plane.corner), row=tuple(plane.across), column=tuple(plane.down), thickness=4.0
                ),
                sources=(first, second),
            )
        )
    return study_result(slices)


def _true_label(piece, size):
    subject = sample_subject(SEED, piece.patient, piece.level)
    if piece.content == "disc":
        return draw_body(SEED, piece.patient, subject, size).canvas.pixel_label()
    subject = replace(subject, severity=0.0, site=StenosisSite.NONE)
    return draw_body(SEED, piece.patient, subject, size, Height.PEDICLE).canvas.pixel_label()


def _read(name):
    return Path(name).read_bytes()


def _bytes(path):
    pixels = read_pixels(str(path), _read)
    return to_bytes(pixels, np.ones(pixels.shape, dtype=bool))
