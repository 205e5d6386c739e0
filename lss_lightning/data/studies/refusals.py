"""Explanations of why the images of a DICOM study cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from lss_lightning.data.dicom.images import DicomImage
from lss_lightning.data.dicom.series import describe_exclusion
from lss_lightning.errors import UserError

SPLIT = "export them as one file for each image, or split them (for example with dcm4che's emf2sf)"
"""Remedy for multi-frame files."""

_MULTI_FRAME = "multi-frame files, which are not supported (NumberOfFrames above 1)"
_NOT_AXIAL = "sagittal or coronal by ImageOrientationPatient"


def explain_no_axial_images(images: Sequence[DicomImage]) -> UserError:
    """Return an error that states, for each image of a study, why it is not an axial T1 or T2 image.

    The message does not name a file or series.
    """
    reasons = {image.file: _explain(image) for image in images}
    counts = Counter(reasons.values())
    order = sorted(counts, key=lambda reason: (reason == _NOT_AXIAL, -counts[reason]))
    text = "; ".join(f"{counts[reason]} {reason}" for reason in order)
    others = [image for image in images if reasons[image.file] != _NOT_AXIAL]
    if not others:
        remedy = "add the axial series"
    elif any(image.number_of_frames > 1 for image in others):
        remedy = SPLIT
    elif any(image.plane is None for image in others):
        remedy = "export them again"
    else:
        remedy = "export the axial spin-echo series"
    files = [image.file for image in images if reasons[image.file] == order[0]]
    return UserError(f"no axial T1 or T2 images among {len(images)}: {text}; {remedy}", files)


def join_problems(images: Iterable[DicomImage]) -> str:
    """Return the clauses about missing and invalid attributes, the most frequent first."""
    counts = Counter(problem for image in images for problem in image.attribute_problems)
    return " and ".join(problem for problem, _ in counts.most_common(3))


def _explain(image: DicomImage) -> str:
    if image.number_of_frames > 1:
        return _MULTI_FRAME
    if image.plane is None:
        return f"with {' and '.join(image.attribute_problems)}"
    if not image.plane.is_axial:
        return _NOT_AXIAL
    return f"axial {describe_exclusion(image)}"
