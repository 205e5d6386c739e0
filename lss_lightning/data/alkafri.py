"""The Al-Kafri / Sudirman lumbar-spine data (Mendeley Data zbf6b4pttk), zipped or unpacked."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import Path as ZipPath

from lss_lightning.data.alkafri_layout import (
    ALKAFRI_LEVELS,
    FIELD_OF_VIEW,
    FINAL_FOLDER,
    IMAGES,
    LABELS,
    REGISTERED_FOLDER,
)
from lss_lightning.data.archive import ZipMember, open_zip_root, unpack
from lss_lightning.data.download import GROUND_TRUTH, MENDELEY_API, MRI, SOURCE_CODE, download
from lss_lightning.data.reports import read_reports
from lss_lightning.data.slices import ImageFile, Slice
from lss_lightning.data.source import CHANNELS, DataSource, PairedChannels, SourceListing, find_missing_kinds
from lss_lightning.errors import UserError
from lss_lightning.files import file_lock

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AlKafri(DataSource):
    """Data source of the final ground truth of the Al-Kafri data, with images and labels paired by name.

    Attributes:
        download: Whether to download files that are missing under ``root``: the ground truth, and the DICOM studies if
            ``raw`` is set.
        raw: Whether to generate the images from the DICOM studies, with T2 registered to T1, instead of using the
            published images. They are generated only once.
        unpack: Whether to unpack the archive of the ground truth. If False, the images are read from the archive.
        download_url: Address of Mendeley's API, or of a mirror with the same API.
        reports: Path of the radiologists' reports; see :func:`~lss_lightning.data.reports.read_reports`.
    """

    channels: PairedChannels = "composite"
    download: bool = False
    raw: bool = False
    unpack: bool = False
    download_url: str = MENDELEY_API
    reports: str | None = None

    @property
    def folder(self) -> Path:
        """``root`` with ``~`` expanded."""
        return Path(self.root).expanduser()

    @property
    def groupings(self) -> Mapping[str, tuple[str, ...]]:
        """The disc levels, by which results are grouped."""
        return {"level": ALKAFRI_LEVELS}

    @property
    def licence(self) -> str:
        """The licence of the data."""
        return "CC BY 4.0"

    @property
    def citation(self) -> str:
        """The reference to cite in publications."""
        return (
            "S. Sudirman, A. Al Kafri, F. Natalia, H. Meidia, N. Afriliana, W. Al-Rashdan, M. Bashtawi, M. Al-Jumaily, "
            "*Label Image Ground Truth Data for Lumbar Spine MRI Dataset*, Mendeley Data, version 2, "
            "https://data.mendeley.com/datasets/zbf6b4pttk/2"
        )

    def check(self) -> None:
        """Check that the files exist, unless they may be downloaded.

        Raises:
            UserError: If files are missing, if ``root`` is a file although files must be unpacked or written, or if the
                reports cannot be read.
        """
        self.read_notes()
        for key in ("unpack", "raw"):
            if getattr(self, key) and self.folder.is_file():
                raise UserError(f"data.{key}=true with data.root={self.root}: a file; give the folder that holds it")
        if not self.download or (self.folder.exists() and not self.folder.is_dir()):
            _find_top(self.folder)
            if self.raw and not (self.folder / REGISTERED_FOLDER).exists():
                from lss_lightning.data.dicom.archive import find_raw_data
                from lss_lightning.data.dicom.picks import read_picks

                find_raw_data(self.folder)
                read_picks(self.folder)

    def prepare(self) -> None:
        """Download, unpack and register missing files, depending on the settings.

        Raises:
            UserError: If a download fails, an archive is broken or the raw data cannot be used.
        """
        folder = self.folder
        if self.download and not any(map(_has_labels, find_data_folders(folder))):
            download(GROUND_TRUTH, folder, api=self.download_url)
        if self.raw:
            self._register()
        if self.unpack and isinstance(top := _find_top(folder), ZipPath):
            archive = Path(str(top.root.filename))
            unpack(archive, archive.with_suffix(""))

    def read_notes(self) -> dict[str, str]:
        """Read the notes from the file given by ``reports``."""
        return {} if self.reports is None else read_reports(Path(self.reports).expanduser())

    def find(self) -> SourceListing:
        """List the slices under ``root``.

        Raises:
            UserError: If the folder does not exist or contains no labels, or if no label has the images that the
                channels need.
        """
        return find_slices(self.folder, self.channels, self.folder / REGISTERED_FOLDER if self.raw else None)

    def _register(self) -> None:
        """Generate T1, T2 and composite images from the DICOM studies, in one process while the others wait."""
        from lss_lightning.data.dicom import REGISTRATION_CSV, convert_studies
        from lss_lightning.data.dicom.archive import RAW_FOLDER
        from lss_lightning.data.dicom.picks import find_picks

        folder, target = self.folder, self.folder / REGISTERED_FOLDER
        with file_lock(folder / f".{REGISTERED_FOLDER}.lock"):
            if target.exists():
                return
            if self.download:
                if not (folder / RAW_FOLDER).is_dir():
                    download(MRI, folder, api=self.download_url)
                if find_picks(folder) is None:
                    download(SOURCE_CODE, folder, api=self.download_url)
            rows = convert_studies(folder, folder, target)
        counts = Counter(row.status.replace("_", " ") for row in rows)
        flagged = sum(bool(row.flags) for row in rows)
        _log.info(
            "%s: %s; %d flagged: see %s",
            target,
            ", ".join(f"{count} slices {status}" for status, count in sorted(counts.items(), reverse=True)),
            flagged,
            REGISTRATION_CSV,
        )


def find_slices(root: Path, channels: str, image_root: Path | None = None) -> SourceListing:
    """Pair labels and images by name in the layout of the data set.

    Args:
        root: A folder that contains ``05_Final_Ground_Truth_Data``, only its image folders, or a zip archive of either;
            the parent of such a folder; or the archive itself. Folders take precedence over archives.
        channels: A key of :data:`~lss_lightning.data.source.CHANNELS`.
        image_root: A folder with the same layout from which to take the images, or None to take them from ``root``.

    Raises:
        UserError: If the folder does not exist or contains no labels, or if no label has the images that the channels
            need.
    """
    top = _find_top(root)
    labels = _list_files(top, *LABELS)
    images = {kind: _list_files(image_root or top, *location) for kind, location in IMAGES.items()}
    left_out: Counter[str] = Counter()
    slices, incomplete = [], []
    for name in sorted(labels):
        patient, level = name
        present = {kind: files[name] for kind, files in images.items() if name in files}
        slice_ = Slice(patient, level, present, labels[name], FIELD_OF_VIEW, {"level": level})
        if missing := find_missing_kinds(channels, present):
            left_out[f"label without {' and '.join(missing)} image"] += 1
            incomplete.append(slice_)
        else:
            slices.append(slice_)
    unlabelled = [
        name
        for name in set().union(*images.values()) - set(labels)
        if not find_missing_kinds(channels, [kind for kind, files in images.items() if name in files])
    ]
    if unlabelled:
        left_out["image without label"] = len(unlabelled)
    if not slices:
        reasons = "; ".join(f"{count} × {reason}" for reason, count in left_out.items()) or "no label images"
        kinds = [IMAGES[kind] for kind in CHANNELS[channels]]
        examples = [f"{folder}/{prefix}_0001_D3.png" for folder, prefix in (LABELS, *kinds)]
        raise UserError(
            f"data.root={root}: no slice can be used with data.channels={channels} ({reasons}); each needs files such "
            f"as {' and '.join(examples)}: add the missing files, or choose other data.channels"
        )
    return SourceListing(slices, left_out, incomplete, levels=ALKAFRI_LEVELS)


def _find_top(root: Path) -> Path | ZipPath:
    """Return the folder, on disk or in an archive, that holds the label folder.

    Raises:
        UserError: If there is no such folder.
    """
    if not root.exists():
        raise UserError(
            f"data.root={root}: no such folder; give the folder that holds {FINAL_FOLDER}, or data.download=true"
        )
    for folder in find_data_folders(root):
        if _has_labels(folder):
            return folder
    if not root.is_dir():
        raise UserError(
            f"data.root={root}: a file, not a folder or the data's archive; give the folder that holds {FINAL_FOLDER}"
        )
    raise UserError(
        f"data.root={root}: holds no {LABELS[0]}; put {GROUND_TRUTH.name} of {GROUND_TRUTH.page} there, give the "
        "folder of the data, or data.download=true"
    )


def find_data_folders(root: Path) -> Iterator[Path | ZipPath]:
    """Yield the folders that may contain the data: ``root``, its subfolders, its zip archives, and their folders."""
    if root.is_dir():
        if root.resolve().name == FINAL_FOLDER:
            yield root.resolve().parent
            return
        yield root
        yield from sorted(path for path in root.iterdir() if path.is_dir())
        archives = sorted(root.glob("*.zip"), key=lambda path: (path.name != GROUND_TRUTH.name, path.name))
    else:
        archives = [root] if root.suffix.lower() == ".zip" and root.is_file() else []
    for archive in archives:
        top = open_zip_root(archive)
        yield top
        yield from sorted((path for path in top.iterdir() if path.is_dir()), key=lambda path: path.name)


def _has_labels(top: Path | ZipPath) -> bool:
    return _locate(top, LABELS[0]).is_dir()


def _locate(top: Path | ZipPath, folder: str) -> Path | ZipPath:
    """Return the path of a folder as published or, if its numbered parent is missing, directly below ``top``."""
    outer, inner = folder.split("/")
    return top / outer / inner if (top / outer).is_dir() else top / inner


def _list_files(top: Path | ZipPath, folder: str, prefix: str) -> dict[tuple[str, str], ImageFile]:
    """Return the files ``<prefix>_<patient>_<level>.png`` by patient and level.

    Raises:
        UserError: If two names differ only in case.
    """
    pattern = re.compile(rf"{prefix}_(\d+)_(D\d)\.png", re.IGNORECASE)
    files: dict[tuple[str, str], ImageFile] = {}
    location = _locate(top, folder)
    if location.is_dir():
        paths: list[Path | ZipPath] = [*location.iterdir()]
        for path in sorted(paths, key=lambda path: path.name):
            if match := pattern.fullmatch(path.name):
                file = path if isinstance(path, Path) else ZipMember(Path(str(path.root.filename)), path.at)
                name = match[1], match[2].upper()
                if name in files:
                    raise UserError(f"{file}: the same slice as {files[name].name}; keep one of the two")
                files[name] = file
    return files
