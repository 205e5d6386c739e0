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
from lss_lightning.data.dicom.attributes import is_directory_file, may_be_dicom
from lss_lightning.data.dicom.images import DicomImage, read_dicom_image
from lss_lightning.data.formats import find_suffix
from lss_lightning.data.studies.dicom import DicomStudy
from lss_lightning.data.studies.image_files import ImageFileStudy
from lss_lightning.data.studies.label_maps import LABEL_MAP, is_label_map
from lss_lightning.data.studies.names import NamedFile, find_sibling_folder, parse_file_name
from lss_lightning.data.studies.record import FileProblem, InputRequirements, Study, summarise_problems
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
            raise UserError(f"input={error}, or unpack it yourself and give the folder") from error
        yield content


def find_studies(root: Path, source: Path, excluded: Path) -> tuple[list[StudySource], list[FileProblem]]:
    """Find the studies in a file or folder: DICOM if there is any, else NIfTI and image files.

    DICOM images are grouped by StudyInstanceUID, in the natural order of each study's first file. Other files are
    grouped by folder; T1 and T2 files belong together if their names are otherwise the same.

    Args:
        root: The file or folder to search.
        source: The path that the user gave, for messages.
        excluded: A folder that is not searched: the folder of the results.

    Returns:
        The studies, and the files that were left out: DICOM files that cannot be read, and label maps.

    Raises:
        UserError: If there is no study.
    """
    if root.is_file() and is_directory_file(root):
        root = root.parent  # the images that a DICOMDIR lists are below its folder
    files = _list_files(root, excluded)
    folder = root if root.is_dir() else root.parent
    images, unreadable = _read_dicom_images(folder, files)
    if images:
        with_frames = [image for image in images if image.number_of_frames]
        if not with_frames:
            raise UserError(
                f"input={source}: {len(images)} DICOM files, but none of them holds an image (Rows above 0, and a "
                "Modality other than SEG); give a study with images"
            )
        return list(_group_dicom_images(folder, with_frames)), unreadable
    if unreadable:
        raise UserError(
            f"input={source}: none of the {len(unreadable)} DICOM files can be read: {summarise_problems(unreadable)}; "
            "export them again",
            [problem.file for problem in unreadable],
        )
    maps = [path for path in files if find_suffix(path.name).startswith(".nii") and is_label_map(path)]
    left_out = [FileProblem(str(path), LABEL_MAP, is_error=False) for path in maps]
    volumes = [path for path in files if path not in maps]
    studies = [*_group_files(volumes, volumes=True), *_group_files(_add_siblings(root, files), volumes=False)]
    if not studies and maps:
        raise UserError(f"input={source}: {summarise_problems(left_out)}", map(str, maps))
    if not studies:
        raise UserError(
            f"input={source}: holds no DICOM file, and none that ends in .nii, .nii.gz, .png, .tif or .npy; give a "
            "study"
        )
    return studies, left_out


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


def _read_dicom_images(root: Path, files: Sequence[Path]) -> tuple[list[DicomImage], list[FileProblem]]:
    """Read the headers of all DICOM files. Return them and the files that cannot be read."""
    images, unreadable = [], []
    with open_reader(root) as read:
        for path in files:
            has_suffix = path.suffix.lower() in _DICOM_SUFFIXES
            if path.name.upper() == "DICOMDIR" or not (has_suffix or may_be_dicom(path)):
                continue
            try:
                images.append(read_dicom_image(path.relative_to(root).as_posix(), read))
            except UnreadableError as error:
                unreadable.append(FileProblem(str(path), str(error)))
    return images, unreadable


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
    """Group NIfTI files into studies of one volume or pair of volumes, or image files into studies."""
    groups: dict[tuple[str, str], list[NamedFile]] = defaultdict(list)
    for path in files:
        suffix = find_suffix(path.name)
        if suffix and suffix.startswith(".nii") is volumes and (named := parse_file_name(path)):
            groups[named.study, named.pair if volumes else ""].append(named)
    for members in groups.values():
        yield VolumeStudy(tuple(members)) if volumes else ImageFileStudy(tuple(members))
