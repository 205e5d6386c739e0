"""What studies lie in a folder, a file or a zip; none of them is named in a message, as names may be a patient's."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from lss_lightning.data.archive import unpack
from lss_lightning.data.dicom.archive import UnreadableError, natural, reader
from lss_lightning.data.dicom.images import DicomImage, read_dicom_image
from lss_lightning.data.formats import suffix
from lss_lightning.data.studies.dicom import DicomStudy
from lss_lightning.data.studies.names import NamedFile, read_name, sibling
from lss_lightning.data.studies.pictures import PictureStudy
from lss_lightning.data.studies.record import InputRequirements, Study
from lss_lightning.data.studies.volumes import VolumeStudy
from lss_lightning.errors import UserError
from lss_lightning.runs.output import INDEX

_DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")


class StudySource(Protocol):
    """A study whose files are known, but not read yet."""

    def read(self, wanted: InputRequirements, name: str) -> Study:
        """Read its axial slices.

        Args:
            wanted: What the checkpoint needs.
            name: Of the study, for the progress bar.

        Raises:
            UserError: it cannot be used; no name of a file below the input is said.
        """


@contextmanager
def opened(place: Path) -> Iterator[Path]:
    """A file or folder to look in: the place itself, or what a zip holds, in a folder that is there meanwhile.

    Raises:
        UserError: no such file or folder, or a zip that cannot be unpacked.
    """
    if not place.exists():
        raise UserError(f"input={place}: no such file or folder; give a study, or a folder or zip of studies")
    if not (place.is_file() and zipfile.is_zipfile(place)):
        if place.suffix.lower() == ".zip" and place.is_file():
            raise UserError(f"input={place}: no zip archive, or not all of one; copy it anew")
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="lss_") as folder:
        content = Path(folder) / "content"
        try:
            unpack(place, content)
        except UserError as error:
            raise UserError(
                f"input={place}: cannot be unpacked: broken, encrypted, too large for the disk, or with paths that "
                "lead out of it; pack it anew, or unpack it yourself and give the folder"
            ) from error
        yield content


def find_studies(place: Path, given: Path, leave: Path) -> tuple[list[StudySource], int]:
    """The studies in a file or folder: DICOM, where there is any, else NIfTI files and pictures.

    DICOM studies are told by StudyInstanceUID, in the natural order of their first files; other files by folder, and
    T1 and T2 belong together where names are the same but for that.

    Args:
        place: Where to look.
        given: What the user gave, for messages.
        leave: A folder in which not to look: that of the results.

    Returns:
        The studies, and how many files that call themselves DICOM cannot be read.

    Raises:
        UserError: there are none.
    """
    files = _files(place, leave)
    root = place if place.is_dir() else place.parent
    images, broken = _dicom_images(root, files)
    if images:
        shown = [image for image in images if image.frames]
        if not shown:
            raise UserError(f"input={given}: {len(images)} DICOM files, but none of them holds an image")
        return list(_dicom_studies(root, shown)), broken
    if broken:
        raise UserError(
            f"input={given}: not DICOM: none of the {broken} files that are called so can be read; export them again"
        )
    studies = [*_grouped(files, volumes=True), *_grouped(_with_siblings(place, files), volumes=False)]
    if not studies:
        raise UserError(
            f"input={given}: holds no DICOM file, and none that ends in .nii, .nii.gz, .png, .tif or .npy; give a study"
        )
    return studies, 0


def _files(place: Path, leave: Path) -> list[Path]:
    """All files, without hidden ones and earlier results, in natural order."""
    if place.is_file():
        return [place]
    leave = leave.expanduser().resolve()
    found = []
    for folder, folders, names in os.walk(place):
        if INDEX in names or Path(folder).resolve() == leave:
            folders.clear()
            continue
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(folder, name) for name in names if not name.startswith("."))
        # A pipe would be waited for; of a link that leads nowhere it is told that it cannot be read.
        found += [path for path in paths if path.is_file() or path.is_symlink()]
    return sorted(found, key=lambda path: natural(path.relative_to(place).as_posix()))


def _dicom_images(root: Path, files: Sequence[Path]) -> tuple[list[DicomImage], int]:
    """What can be read of files that are DICOM, and how many call themselves so but cannot, or cannot be opened."""
    images, broken = [], 0
    with reader(root) as read:
        for path in files:
            called = path.suffix.lower() in _DICOM_SUFFIXES
            if path.name.upper() == "DICOMDIR" or not (called or _marked(path)):
                continue
            try:
                images.append(read_dicom_image(path.relative_to(root).as_posix(), read))
            except UnreadableError:
                broken += 1
    return images, broken


def _marked(path: Path) -> bool:
    """Whether a file has DICOM's mark, or is there and cannot be opened, so that nobody knows."""
    from pydicom.misc import is_dicom

    try:
        return path.exists() and is_dicom(path)
    except OSError:
        return True


def _dicom_studies(root: Path, images: Sequence[DicomImage]) -> Iterator[StudySource]:
    studies: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        studies[image.study].append(image)
    for members in studies.values():
        yield DicomStudy(root, tuple(members))


def _with_siblings(place: Path, files: Sequence[Path]) -> list[Path]:
    """With the partners that lie in the folder beside, as T1_Output lies beside T2_Output."""
    beside = sibling(place) if place.is_dir() else None
    if beside is None:
        return list(files)
    known = {named.piece for named in map(read_name, files) if named}
    partners = [path for path in sorted(beside.iterdir()) if suffix(path.name) and path.is_file()]
    return [*files, *(path for path in partners if (named := read_name(path)) and named.piece in known)]


def _grouped(files: Sequence[Path], *, volumes: bool) -> Iterator[StudySource]:
    """Studies of NIfTI files, each volume or pair of volumes one, or of pictures."""
    groups: dict[tuple[str, str], list[NamedFile]] = defaultdict(list)
    for path in files:
        kind = suffix(path.name)
        if kind and kind.startswith(".nii") is volumes and (named := read_name(path)):
            groups[named.study, named.piece if volumes else ""].append(named)
    for members in groups.values():
        yield VolumeStudy(tuple(members)) if volumes else PictureStudy(tuple(members))
