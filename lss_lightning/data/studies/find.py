"""Search for studies in a folder, a file or a zip.

Messages do not name files below the input, because file names may contain a patient's name.
"""

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
from lss_lightning.data.dicom.archive import UnreadableError, natural_sort_key, open_reader
from lss_lightning.data.dicom.images import DicomImage, read_dicom_image
from lss_lightning.data.formats import find_suffix
from lss_lightning.data.nifti import VOLUME_FORMATS
from lss_lightning.data.studies.dicom import DicomStudy
from lss_lightning.data.studies.image_files import ImageFileStudy
from lss_lightning.data.studies.names import NamedFile, find_sibling_folder, parse_file_name
from lss_lightning.data.studies.record import InputRequirements, Study
from lss_lightning.data.studies.volumes import VolumeStudy
from lss_lightning.errors import UserError
from lss_lightning.runs.output import PREDICTION_INDEX

_DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")


class StudySource(Protocol):
    """A study whose files are known but not read yet."""

    def read(self, requirements: InputRequirements, name: str) -> Study:
        """Read the study's axial slices.

        Args:
            requirements: The images that the checkpoint needs.
            name: Name of the study, shown by the progress bar.

        Raises:
            UserError: If the study cannot be used. The message does not name files below the input.
        """


@contextmanager
def open_input(path: Path) -> Iterator[Path]:
    """Yield a file or folder to search: the path itself or, for a zip, a temporary folder with its content.

    Raises:
        UserError: If there is no such file or folder, or the zip cannot be unpacked.
    """
    if not path.exists():
        raise UserError(f"input={path}: no such file or folder; give a study, or a folder or zip of studies")
    if not (path.is_file() and zipfile.is_zipfile(path)):
        if path.suffix.lower() == ".zip" and path.is_file():
            raise UserError(f"input={path}: not a zip archive, or only part of one; copy it again")
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="lss_") as folder:
        content = Path(folder) / "content"
        try:
            unpack(path, content)
        except UserError as error:
            raise UserError(
                f"input={path}: cannot be unpacked because it is broken, encrypted, too large for the disk, or has "
                "paths that lead outside it; create the zip again, or unpack it yourself and give the folder"
            ) from error
        yield content


def find_studies(root: Path, source: Path, excluded: Path) -> tuple[list[StudySource], int]:
    """Find the studies in a file or folder: DICOM if there is any, else volumes and image files.

    DICOM images are grouped by StudyInstanceUID, in the natural order of each study's first file. Other files are
    grouped by folder; T1 and T2 files belong together if their names are otherwise the same.

    Args:
        root: The file or folder to search.
        source: The path that the user gave, for messages.
        excluded: A folder that is not searched: the folder of the results.

    Returns:
        The studies, and the number of DICOM files that cannot be read.

    Raises:
        UserError: If there is no study.
    """
    files = _list_files(root, excluded)
    folder = root if root.is_dir() else root.parent
    images, unreadable = _read_dicom_images(folder, files)
    if images:
        with_frames = [image for image in images if image.number_of_frames]
        if not with_frames:
            raise UserError(
                f"input={source}: {len(images)} DICOM files, but none of them holds an image; give a study with images"
            )
        return list(_group_dicom_images(folder, with_frames)), unreadable
    if unreadable:
        raise UserError(f"input={source}: none of the {unreadable} DICOM files can be read; export them again")
    studies = [*_group_files(files, volumes=True), *_group_files(_add_siblings(root, files), volumes=False)]
    if not studies:
        raise UserError(
            f"input={source}: holds no DICOM file, and none that ends in .nii, .nii.gz, .mha, .nrrd, .png, .tif or "
            ".npy; give a study"
        )
    return studies, 0


def _list_files(root: Path, excluded: Path) -> list[Path]:
    """Return all files in natural order, without hidden files and the results of earlier runs."""
    if root.is_file():
        return [root]
    excluded = excluded.expanduser().resolve()
    files: list[Path] = []
    for folder, subfolders, names in os.walk(root):
        if PREDICTION_INDEX in names or Path(folder).resolve() == excluded:
            subfolders.clear()
            continue
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        paths = (Path(folder, name) for name in names if not name.startswith("."))
        # Reading a pipe would block. A broken link is kept, so that it is reported as unreadable.
        files += [path for path in paths if path.is_file() or path.is_symlink()]
    return sorted(files, key=lambda path: natural_sort_key(path.relative_to(root).as_posix()))


def _read_dicom_images(root: Path, files: Sequence[Path]) -> tuple[list[DicomImage], int]:
    """Read the headers of all DICOM files. Return them and the number of files that cannot be read."""
    images, unreadable = [], 0
    with open_reader(root) as read:
        for path in files:
            has_suffix = path.suffix.lower() in _DICOM_SUFFIXES
            if path.name.upper() == "DICOMDIR" or not (has_suffix or _may_be_dicom(path)):
                continue
            try:
                images.append(read_dicom_image(path.relative_to(root).as_posix(), read))
            except UnreadableError:
                unreadable += 1
    return images, unreadable


def _may_be_dicom(path: Path) -> bool:
    """Return whether a file has the DICOM prefix, or exists but cannot be opened to check."""
    from pydicom.misc import is_dicom

    try:
        return path.exists() and is_dicom(path)
    except OSError:
        return True


def _group_dicom_images(root: Path, images: Sequence[DicomImage]) -> Iterator[StudySource]:
    studies: dict[str, list[DicomImage]] = defaultdict(list)
    for image in images:
        studies[image.study_uid].append(image)
    for members in studies.values():
        yield DicomStudy(root, tuple(members))


def _add_siblings(root: Path, files: Sequence[Path]) -> list[Path]:
    """Add the partner files from the neighbouring folder, for example those in T1_Output to those in T2_Output."""
    sibling = find_sibling_folder(root) if root.is_dir() else None
    if sibling is None:
        return list(files)
    pairs = {named.pair for named in map(parse_file_name, files) if named}
    candidates = [path for path in sorted(sibling.iterdir()) if find_suffix(path.name) and path.is_file()]
    return [*files, *(path for path in candidates if (named := parse_file_name(path)) and named.pair in pairs)]


def _group_files(files: Sequence[Path], *, volumes: bool) -> Iterator[StudySource]:
    """Group volume files into studies of one volume or pair of volumes, or image files into studies."""
    groups: dict[tuple[str, str], list[NamedFile]] = defaultdict(list)
    for path in files:
        suffix = find_suffix(path.name)
        if suffix and (suffix in VOLUME_FORMATS) is volumes and (named := parse_file_name(path)):
            groups[named.study, named.pair if volumes else ""].append(named)
    for members in groups.values():
        yield VolumeStudy(tuple(members)) if volumes else ImageFileStudy(tuple(members))
