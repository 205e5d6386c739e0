"""Explanations of why the images of a DICOM study cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from lss_lightning.data.dicom.images import DicomImage
from lss_lightning.data.dicom.traits import explain_times
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
    order, text = _count(reasons.values())
    others = [image for image in images if reasons[image.file] != _NOT_AXIAL]
    if not others:
        remedy = "add the axial series"
    elif any(image.number_of_frames > 1 for image in others):
        remedy = SPLIT
    elif any(image.plane is None for image in others):
        remedy = "export them again"
    else:
        remedy = "export the axial spin-echo series"
        if any(image.traits.weighting in ("STIR", "PD") for image in others):
            remedy += ", or choose a series with series={t2: …}"
    files = [image.file for image in images if reasons[image.file] == order[0]]
    return UserError(f"no axial T1 or T2 images among {len(images)}: {text}; {remedy}", files)


def explain_unweighted(images: Iterable[DicomImage]) -> str:
    """Return a clause on the axial images that are neither T1 nor T2, or an empty string if there are none."""
    axial = [i for i in images if i.number_of_frames == 1 and i.plane and i.plane.is_axial]
    _, text = _count(_explain(image) for image in axial if image.traits.weighting not in ("T1", "T2"))
    return text and f"not used are {text}"


def _count(reasons: Iterable[str]) -> tuple[list[str], str]:
    """Return the reasons, most frequent first but non-axial images last, and a text that states the number of each."""
    counts = Counter(reasons)
    order = sorted(counts, key=lambda reason: (reason == _NOT_AXIAL, -counts[reason]))
    return order, "; ".join(f"{counts[reason]} {reason}" for reason in order)


def join_problems(images: Iterable[DicomImage]) -> str:
    """Return up to three clauses about missing and invalid attributes, the most frequent first, joined into a text."""
    counts = Counter(problem for image in images for problem in image.attribute_problems)
    return " and ".join(problem for problem, _ in counts.most_common(3))


def _explain(image: DicomImage) -> str:
    if image.number_of_frames > 1:
        return _MULTI_FRAME
    if image.plane is None:
        return f"with {' and '.join(image.attribute_problems)}"
    if not image.plane.is_axial:
        return _NOT_AXIAL
    traits = image.traits
    if traits.weighting in ("T1", "T2"):
        return f"axial {traits.weighting}, but not of the series that series= chooses"
    name = "" if traits.weighting == "other" else f"{traits.weighting} "
    return f"axial {name}{traits.exclusion or _explain_weighting(image)}"


def _explain_weighting(image: DicomImage) -> str:
    """Return a clause that explains, from its times or description, why an image is neither T1 nor T2."""
    times = {"RepetitionTime": image.repetition_time, "EchoTime": image.echo_time}
    if image.repetition_time and image.echo_time:
        return explain_times(image.repetition_time, image.echo_time)
    absent = tuple(name for name, value in times.items() if not value)
    odd = [problem for problem in image.attribute_problems if problem.startswith(absent)]
    reason = " and ".join(odd) or f"without {' and '.join(absent)}"
    return f"{reason}, and neither SeriesDescription nor ProtocolName says t1 or t2, or EchoTime contradicts it"
