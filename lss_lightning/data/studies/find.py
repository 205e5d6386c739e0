"""Search for studies in a folder, a file or a zip archive.

Messages do not name files below the input, because file names may contain a patient's name.
"""

from __future__ import annotations

import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from lss_lightning.data.archive import unpack
from lss_lightning.data.dicom.archive import UnreadableError, natural_sort_key, open_reader
from lss_lightning.data.dicom.attributes import is_directory_file, may_be_dicom
from lss_lightning.data.dicom.images import DicomImage, read_dicom_image
from lss_lightning.data.dicom.series import group_into_studies
from lss_lightning.data.formats import find_suffix
from lss_lightning.data.nifti import VOLUME_FORMATS
from lss_lightning.data.studies.dicom import DicomStudy
from lss_lightning.data.studies.image_files import ImageFileStudy
from lss_lightning.data.studies.label_maps import LABEL_MAP, is_label_map
from lss_lightning.data.studies.names import NamedFile, find_sibling_folder, parse_file_names
from lss_lightning.data.studies.record import FileProblem, InputRequirements, Study, summarise_problems
from lss_lightning.data.studies.volumes import VolumeStudy
from lss_lightning.data.walk import list_files
from lss_lightning.display import format_count
from lss_lightning.errors import UserError
from lss_lightning.runs.output import PREDICTION_INDEX

_BY_RULE: Mapping[str, str] = MappingProxyType({})
_DICOM_SUFFIXES = (".dcm", ".ima", ".dicom")
_PACKED = (".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar")
_OTHER_FORMATS = (
    *(".mhd", ".nhdr", ".hdr", ".img", ".mgz", ".mgh", ".mnc", ".par", ".rec", ".npz", ".mat", ".h5"),
    *(".jpg", ".jpeg", ".jp2", ".bmp", ".gif", ".webp"),
)
"""Suffixes of volumes and images in formats that are not supported."""


class StudySource(Protocol):
    """A study whose files are known but have not been read yet."""

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
            raise UserError(
                f"input={path}: not a zip archive, or only part of one; copy it again, or unpack it yourself and give "
                "the folder"
            )
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="lss_") as folder:
        content = Path(folder) / "content"
        try:
            unpack(path, content)
        except UserError as error:
            raise UserError(f"input={error}, or unpack it yourself and give the folder") from error
        yield content


@dataclass(frozen=True)
class StudyListing:
    """The studies in the input, and the files that belong to no study.

    Attributes:
        studies: At least one study.
        left_out: DICOM files that cannot be read, and label maps.
        problems: Other files that should have been used but could not be, one clause each.
        remarks: Files that were left out on purpose, one sentence each.
    """

    studies: tuple[StudySource, ...]
    left_out: tuple[FileProblem, ...] = ()
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def unreadable(self) -> list[FileProblem]:
        """The files that should have been used but cannot be read."""
        return [problem for problem in self.left_out if problem.is_error]


def find_studies(root: Path, source: Path, excluded: Path, series: Mapping[str, str] = _BY_RULE) -> StudyListing:
    """Find the studies in a file or folder: DICOM studies if there are any, else volumes and image files.

    DICOM images are grouped by StudyInstanceUID and patient, in the natural order of each study's first file. Other
    files are grouped by folder; T1 and T2 files belong together if their names are the same except for the weighting.

    Args:
        root: The file or folder to search.
        source: The path given by the user, for messages.
        excluded: A folder that is not searched: the folder of the results.
        series: The user's choice of T1 and T2: texts in file names, keyed by ``T1`` and ``T2``.

    Raises:
        UserError: If there is no study.
    """
    if root.is_file() and is_directory_file(root):
        root = root.parent  # the images that a DICOMDIR lists are below its folder
    files = _list_files(root, excluded)
    folder = root if root.is_dir() else root.parent
    broken = sum(not path.exists() and not _has_suffix(path) for path in files)
    problems = (f"{format_count(broken, 'symbolic link')} lead{'s' if broken == 1 else ''} nowhere",) if broken else ()
    images, unreadable = _read_dicom_images(folder, files)
    if images:
        with_frames = [image for image in images if image.number_of_frames]
        if not with_frames:
            raise UserError(
                f"input={source}: {len(images)} DICOM files, but none of them holds an image (Rows above 0, and a "
                "Modality other than SEG); give a study with images"
            )
        studies = [DicomStudy(folder, group.images, group.patients) for group in group_into_studies(with_frames)]
        others = sum(bool(find_suffix(path.name)) for path in files)
        remark = (
            f"{format_count(others, 'NIfTI or image file')} left out, because the input contains DICOM; give them as "
            "another input."
        )
        remarks = (*([remark] if others else []), *_describe_unread(files))
        return StudyListing(tuple(studies), tuple(unreadable), problems, remarks)
    if unreadable:
        raise UserError(
            f"input={source}: none of the {len(unreadable)} DICOM files can be read: {summarise_problems(unreadable)}; "
            "export them again",
            [problem.file for problem in unreadable],
        )
    maps = [path for path in files if find_suffix(path.name) in VOLUME_FORMATS and is_label_map(path)]
    files = [path for path in files if path not in maps]
    left_out = tuple(FileProblem(str(path), LABEL_MAP, is_error=False) for path in maps)
    has_images = any(find_suffix(path.name) for path in files)
    if maps and not has_images:
        raise UserError(f"input={source}: {summarise_problems(left_out)}", map(str, maps))
    if not has_images:
        raise UserError(
            f"input={source}: holds no DICOM file, and none that ends in .nii, .nii.gz, .mha, .nrrd, .png, .tif or "
            f".npy; {' '.join(_describe_unread(files)).removesuffix('.') or 'give a study'}"
        )
    sources = (
        *_group_files(files, series, volumes=True),
        *_group_files(_add_siblings(root, files), series, volumes=False),
    )
    return StudyListing(sources, left_out, problems, (*_check_choice(files, series), *_describe_unread(files)))


def _describe_unread(files: Sequence[Path]) -> tuple[str, ...]:
    """Return a sentence on archives in the input, and one on files in formats that are not supported."""
    names = [path.name.lower() for path in files if not find_suffix(path.name) and not may_be_dicom(path)]
    remedies = {_PACKED: "unpack them first", _OTHER_FORMATS: "convert volumes to NIfTI and images to PNG"}
    sentences = []
    for suffixes, remedy in remedies.items():
        if counts := Counter(suffix for name in names for suffix in suffixes if name.endswith(suffix)):
            listed = ", ".join(f"{count} × {suffix}" for suffix, count in counts.items())
            sentences.append(f"{format_count(counts.total(), 'file')} not read ({listed}); {remedy}.")
    return tuple(sentences)


def _list_files(root: Path, excluded: Path) -> list[Path]:
    """Return all files in natural order, excluding hidden files and the results of earlier runs."""
    if root.is_file():
        return [root]
    excluded = excluded.expanduser().resolve()
    paths = list_files(root, lambda folder, names: PREDICTION_INDEX in names or folder.resolve() == excluded)
    # Reading a pipe would block. A broken link is kept, so that it is reported as unreadable.
    files = [path for path in paths if not path.name.startswith(".") and (path.is_file() or path.is_symlink())]
    return sorted(files, key=lambda path: natural_sort_key(path.relative_to(root).as_posix()))


def _read_dicom_images(root: Path, files: Sequence[Path]) -> tuple[list[DicomImage], list[FileProblem]]:
    """Read the headers of all DICOM files, and return them and the files that cannot be read."""
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


def _has_suffix(path: Path) -> bool:
    """Return whether a file has the suffix of a supported format, in which case reading it reports any fault."""
    return path.suffix.lower() in _DICOM_SUFFIXES or bool(find_suffix(path.name))


def _add_siblings(root: Path, files: Sequence[Path]) -> list[Path]:
    """Add the partner files from the sibling folder, for example the files in T1_Output to those in T2_Output."""
    sibling = find_sibling_folder(root) if root.is_dir() else None
    if sibling is None:
        return list(files)
    pairs = {named.pair for named in parse_file_names(files, {})}
    candidates = [path for path in sorted(sibling.iterdir()) if find_suffix(path.name) and path.is_file()]
    return [*files, *(named.path for named in parse_file_names(candidates, {}) if named.pair in pairs)]


def _check_choice(files: Sequence[Path], series: Mapping[str, str]) -> tuple[str, ...]:
    """Check that the user's texts occur in names, and return a remark on the files that they exclude."""
    paths = [path for path in files if find_suffix(path.name)]
    named = parse_file_names(paths, series)
    for kind in series:
        if not any(file.kind == kind for file in named):
            raise UserError(f"series={{{kind.lower()}: …}}: no file or folder has this text in its name; correct it")
    left_out = len(parse_file_names(paths, {})) - len(named)
    return (f"{format_count(left_out, 'file')} left out, because series= chooses others.",) if left_out else ()


def _group_files(files: Sequence[Path], series: Mapping[str, str], *, volumes: bool) -> Iterator[StudySource]:
    """Group files into studies: volumes singly or in pairs, or image files by their ``study`` key."""
    suffixes = ((path, find_suffix(path.name)) for path in files)
    paths = [path for path, suffix in suffixes if suffix and (suffix in VOLUME_FORMATS) is volumes]
    all_named = parse_file_names(paths, series)
    kinds: dict[str, list[str]] = defaultdict(list)
    for named in all_named:
        kinds[named.study].append(str(named.kind))
    groups: dict[tuple[str, str], list[NamedFile]] = defaultdict(list)
    for named in all_named:
        # A user who chooses both files pairs them, whatever their names.
        is_pair = len(series) == 2 and sorted(kinds[named.study]) == ["T1", "T2"]
        groups[named.study, named.pair if volumes and not is_pair else ""].append(named)
    for members in groups.values():
        yield VolumeStudy(tuple(members)) if volumes else ImageFileStudy(tuple(members))
