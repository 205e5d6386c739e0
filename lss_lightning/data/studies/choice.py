"""Choice of the axial T1 and T2 images among all images of a DICOM study, and remarks on images that are not used.

Series are identified only by their number, because descriptions may contain a patient's name.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lss_lightning.data.dicom.archive import natural_sort_key
from lss_lightning.data.dicom.images import DicomImage
from lss_lightning.data.dicom.series import keep_preferred
from lss_lightning.display import format_count
from lss_lightning.errors import UserError

# Typical echo time of a T2-weighted image in ms. If a series has several echoes, the nearest one is used.
_T2_ECHO_TIME = 100


@dataclass(frozen=True)
class ImageChoice:
    """The T1 and T2 images of a study that may be used.

    Attributes:
        weighted: Weighting (``T1`` or ``T2``) of each T1 or T2 image, axial or not, by file name.
        preferred: File names of the axial images that the rules prefer for each weighting.
        remarks: Images that are not used, and properties of the images that are used, one sentence each.
    """

    weighted: Mapping[str, str]
    preferred: frozenset[str]
    remarks: tuple[str, ...]


def choose_images(images: Sequence[DicomImage], series: Mapping[str, str]) -> ImageChoice:
    """Choose T1 and T2 by the user's setting, or else by weighting, and leave out copies and variants by rule.

    Raises:
        UserError: If the study lacks a series that the user specifies, or if that series is not axial.
    """
    weighted: dict[str, str] = {}
    for kind in sorted(series):
        weighted |= {image.file: kind for image in _find_series(images, kind, series[kind])}
    for image in images:
        if image.traits.weighting in ("T1", "T2") and image.traits.weighting not in series:
            weighted.setdefault(image.file, image.traits.weighting)
    preferred: set[str] = set()
    remarks = []
    axial = [image for image in images if image.number_of_frames == 1 and image.plane and image.plane.is_axial]
    for kind in ("T1", "T2"):
        candidates = [image for image in axial if weighted.get(image.file) == kind]
        kept = keep_preferred(candidates)
        preferred |= {image.file for image in kept}
        rest = [i for i in axial if i.file not in preferred and _could_be(i, kind, weighted)]
        if kind in series and candidates:
            remarks.append(f"{kind} is {_join_labels(kept)}, as set with series=.")
        if kept and (departures := kept[0].traits.kind):
            remarks.append(f"The {kind} images used are not plain originals: {departures} ({_join_labels(kept)}).")
        if rest:
            remarks.append(
                f"Not used as {kind}: {_describe(rest, kind)}. series={{{kind.lower()}: …}} chooses another."
            )
    return ImageChoice(weighted, frozenset(preferred), tuple(remarks))


def rank_images(images: Iterable[DicomImage]) -> dict[str, int]:
    """Return the rank of each image by file name, 0 for the best of several equivalent images.

    The images of a multi-echo series are ranked by echo time: the shortest is best for T1, the one nearest to 100 ms
    for T2. Among several series, the one acquired last is best.
    """
    by_series: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        by_series[image.series_uid].append(image)
    times = {
        uid: (min(image.traits.acquired for image in members), members[0].traits.series_number or 0)
        for uid, members in by_series.items()
    }
    if not all(time for time, _ in times.values()):
        times = {uid: ("", number) for uid, (_, number) in times.items()}
    order = sorted(set(times.values()), reverse=True)
    ranks = {}
    for uid, members in by_series.items():
        echoes = sorted({image.echo_time or 0 for image in members}, key=lambda echo: abs(echo - _T2_ECHO_TIME))
        if members[0].traits.weighting == "T1":
            echoes.sort()
        for image in members:
            ranks[image.file] = echoes.index(image.echo_time or 0) * len(order) + order.index(times[uid])
    return ranks


def label_series(image: DicomImage) -> str:
    """Return the name of an image's series in messages to the user, e.g. ``series 5``."""
    number = image.traits.series_number
    return "a series without a number" if number is None else f"series {number}"


def _find_series(images: Sequence[DicomImage], kind: str, text: str) -> list[DicomImage]:
    """Return the images of the series that a text identifies by number, UID or description."""
    wanted = text.strip().lower()
    if wanted.isdecimal():
        matches = [image for image in images if image.traits.series_number == int(wanted)]
    elif re.fullmatch(r"[\d.]+", wanted):
        matches = [image for image in images if image.series_uid == wanted]
    else:
        matches = [image for image in images if image.traits.description == wanted]
        matches = matches or [image for image in images if wanted in image.traits.description]
    setting = f"series={{{kind.lower()}: …}}"
    if not matches:
        raise UserError(
            f"{setting}: no series has this number, UID or description; the study has {_list_series(images)}; correct "
            "it, or leave it out"
        )
    # A number or description may match both echoes of a series.
    matches = [image for image in matches if image.traits.weighting == kind] or matches
    planes = [image.plane for image in matches if image.plane]
    if planes and not any(plane.is_axial for plane in planes):
        raise UserError(f"{setting}: {label_series(matches[0])} is not axial; the study has {_list_series(images)}")
    return matches


def _could_be(image: DicomImage, kind: str, weighted: Mapping[str, str]) -> bool:
    """Return whether a user might expect an unused image to be used as the given kind, ``T1`` or ``T2``."""
    similar = {"T1": ("T1",), "T2": ("T2", "STIR", "PD")}
    return weighted.get(image.file, kind) == kind and image.traits.weighting in similar[kind]


def _describe(images: Iterable[DicomImage], kind: str) -> str:
    counts = Counter(
        (
            label_series(image),
            ", ".join(
                filter(None, ("" if image.traits.weighting == kind else image.traits.weighting, image.traits.kind))
            ),
        )
        for image in images
    )
    return "; ".join(
        f"{label} ({format_count(count, 'image')}{', ' if reason else ''}{reason})"
        for (label, reason), count in counts.items()
    )


def _join_labels(images: Iterable[DicomImage]) -> str:
    return " and ".join(dict.fromkeys(map(label_series, images)))


def _list_series(images: Iterable[DicomImage]) -> str:
    """Return a text that lists series with their weightings, e.g. ``series 2 (T2, not axial), series 4 (T2)``."""
    members: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        members[label_series(image)].append(image)
    texts = []
    for label in sorted(members, key=natural_sort_key):
        group = members[label]
        weightings = " and ".join(dict.fromkeys(image.traits.weighting for image in group))
        is_axial = any(image.plane and image.plane.is_axial for image in group)
        texts.append(f"{label} ({weightings}{'' if is_axial else ', not axial'})")
    return ", ".join(texts)
