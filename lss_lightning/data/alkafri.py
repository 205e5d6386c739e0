"""The Al-Kafri / Sudirman lumbar-spine data (Mendeley Data zbf6b4pttk), as downloaded or unpacked."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import Path as ZipPath

from lss_lightning.config.validation import setting
from lss_lightning.data.archive import ZipMember, unpack, zip_top
from lss_lightning.data.download import API, GROUND_TRUTH, MRI, SOURCE_CODE, download
from lss_lightning.data.reports import read_reports
from lss_lightning.data.slices import FIELD_OF_VIEW, FINAL, IMAGES, LABELS, LEVELS, REGISTERED, ImageFile, Slice
from lss_lightning.data.source import CHANNELS, PAIRED, DataSource, SourceListing, lacking
from lss_lightning.errors import UserError
from lss_lightning.files import file_lock

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AlKafri(DataSource):
    """Slices of the final ground truth: a label, and the images that the channels need, paired by name.

    With ``download`` what is missing under ``root`` is fetched: the ground truth, with ``raw`` the DICOM studies too.
    With ``raw`` the images are not the published ones: T2 is registered to T1 anew, once, out of the DICOM studies.
    With ``unpack`` the ground truth's archive is unpacked; its images are else read where they lie.
    """

    channels: str = setting("composite", choices=PAIRED)
    download: bool = setting(False)
    raw: bool = setting(False)
    unpack: bool = setting(False)
    download_url: str = setting(API)
    reports: str | None = setting(None)

    @property
    def folder(self) -> Path:
        """``root``, with the home directory spelt out."""
        return Path(self.root).expanduser()

    @property
    def groupings(self) -> Mapping[str, tuple[str, ...]]:
        """Levels."""
        return {"level": LEVELS}

    @property
    def licence(self) -> str:
        """Under which terms the data may be used."""
        return "CC BY 4.0"

    @property
    def citation(self) -> str:
        """What those must cite who publish with it."""
        return (
            "S. Sudirman, A. Al Kafri, F. Natalia, H. Meidia, N. Afriliana, W. Al-Rashdan, M. Bashtawi, M. Al-Jumaily, "
            "*Label Image Ground Truth Data for Lumbar Spine MRI Dataset*, Mendeley Data, version 2, "
            "https://data.mendeley.com/datasets/zbf6b4pttk/2"
        )

    def check(self) -> None:
        """Look for what is needed, unless it may be downloaded.

        Raises:
            UserError: it is not there, or not in a folder where something could be unpacked or written, or the
                reports cannot be read.
        """
        self.notes()
        for key in ("unpack", "raw"):
            if getattr(self, key) and self.folder.is_file():
                raise UserError(f"data.{key}=true with data.root={self.root}: a file; give the folder that holds it")
        if not self.download or (self.folder.exists() and not self.folder.is_dir()):
            _find_top(self.folder)
            if self.raw and not (self.folder / REGISTERED).exists():
                from lss_lightning.data.dicom.archive import find_raw
                from lss_lightning.data.dicom.picks import read_picks

                find_raw(self.folder)
                read_picks(self.folder)

    def prepare(self) -> None:
        """Download, unpack and register what the settings ask for and is not there.

        Raises:
            UserError: a download or an archive failed, or the raw data cannot be used.
        """
        folder = self.folder
        if self.download and not any(map(_holds_labels, places(folder))):
            download(GROUND_TRUTH, folder, api=self.download_url)
        if self.raw:
            self._register()
        if self.unpack and isinstance(top := _find_top(folder), ZipPath):
            archive = Path(str(top.root.filename))
            unpack(archive, archive.with_suffix(""))

    def notes(self) -> dict[str, str]:
        """The notes in the file of ``reports``."""
        return {} if self.reports is None else read_reports(Path(self.reports).expanduser())

    def find(self) -> SourceListing:
        """List the slices under ``root``.

        Raises:
            UserError: no such folder, no labels in it, or no label that has the images needed.
        """
        return find_slices(self.folder, self.channels, self.folder / REGISTERED if self.raw else None)

    def _register(self) -> None:
        """Make T1, T2 and composites out of the DICOM studies, in one process while others wait."""
        from lss_lightning.data.dicom import REGISTRATION, convert_studies
        from lss_lightning.data.dicom.archive import RAW
        from lss_lightning.data.dicom.picks import find_picks

        folder, target = self.folder, self.folder / REGISTERED
        with file_lock(folder / f".{REGISTERED}.lock"):
            if target.exists():
                return
            if self.download:
                if not (folder / RAW).is_dir():
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
            REGISTRATION,
        )


def find_slices(root: Path, channels: str, elsewhere: Path | None = None) -> SourceListing:
    """Pair labels and images by name in the layout of the data set.

    Args:
        root: The folder that holds ``05_Final_Ground_Truth_Data``, the images' folders alone, or a zip archive of
            either; or one around it. What is unpacked comes before what is not.
        channels: A key of :data:`~lss_lightning.data.source.CHANNELS`.
        elsewhere: A folder of the same layout whose images are to be taken instead.

    Raises:
        UserError: no such folder, no labels in it, or no label that has the images needed.
    """
    top = _find_top(root)
    labels = _by_name(top, *LABELS)
    images = {kind: _by_name(elsewhere or top, *place) for kind, place in IMAGES.items()}
    left_out: Counter[str] = Counter()
    slices, incomplete = [], []
    for name in sorted(labels):
        patient, level = name
        present = {kind: files[name] for kind, files in images.items() if name in files}
        piece = Slice(patient, level, present, labels[name], FIELD_OF_VIEW, {"level": level})
        if missing := lacking(channels, present):
            left_out[f"label without {' and '.join(missing)} image"] += 1
            incomplete.append(piece)
        else:
            slices.append(piece)
    unlabelled = [
        name
        for name in set().union(*images.values()) - set(labels)
        if not lacking(channels, [kind for kind, files in images.items() if name in files])
    ]
    if unlabelled:
        left_out["image without label"] = len(unlabelled)
    if not slices:
        reasons = "; ".join(f"{count} × {reason}" for reason, count in left_out.items()) or "no label images"
        kinds = [IMAGES[kind] for kind in CHANNELS[channels]]
        wanted = [f"{folder}/{prefix}_0001_D3.png" for folder, prefix in (LABELS, *kinds)]
        raise UserError(
            f"data.root={root}: no slice can be used with data.channels={channels} ({reasons}); each needs files such "
            f"as {' and '.join(wanted)}: complete them, or choose other data.channels"
        )
    return SourceListing(slices, left_out, incomplete, levels=LEVELS)


def _find_top(root: Path) -> Path | ZipPath:
    """The folder, on disk or in an archive, that holds the labels' folder.

    Raises:
        UserError: there is none.
    """
    if not root.exists():
        raise UserError(f"data.root={root}: no such folder; give the folder that holds {FINAL}, or data.download=true")
    for place in places(root):
        if _holds_labels(place):
            return place
    if not root.is_dir():
        raise UserError(f"data.root={root}: a file, not a folder or the data's archive; give what holds {FINAL}")
    raise UserError(
        f"data.root={root}: holds no {LABELS[0]}; put {GROUND_TRUTH.name} of {GROUND_TRUTH.page} there, give the "
        "folder where the data lies, or data.download=true"
    )


def places(root: Path) -> Iterator[Path | ZipPath]:
    """Where data may lie: in ``root`` or a folder in it, else in a zip archive there or a folder in that."""
    if root.is_dir():
        if root.resolve().name == FINAL:
            yield root.resolve().parent
            return
        yield root
        yield from sorted(path for path in root.iterdir() if path.is_dir())
        archives = sorted(root.glob("*.zip"), key=lambda path: (path.name != GROUND_TRUTH.name, path.name))
    else:
        archives = [root] if root.suffix.lower() == ".zip" and root.is_file() else []
    for archive in archives:
        top = zip_top(archive)
        yield top
        yield from sorted((path for path in top.iterdir() if path.is_dir()), key=lambda path: path.name)


def _holds_labels(place: Path | ZipPath) -> bool:
    return _images_folder(place, LABELS[0]).is_dir()


def _images_folder(top: Path | ZipPath, folder: str) -> Path | ZipPath:
    """A folder of images as published or, where the numbered folder around it is not there, directly below ``top``."""
    outer, inner = folder.split("/")
    return top / outer / inner if (top / outer).is_dir() else top / inner


def _by_name(top: Path | ZipPath, folder: str, prefix: str) -> dict[tuple[str, str], ImageFile]:
    """Files ``<prefix>_<patient>_<level>.png`` by patient and level; a file manager's own do not count.

    Raises:
        UserError: two files of one name, but for upper and lower case.
    """
    pattern = re.compile(rf"{prefix}_(\d+)_(D\d)\.png", re.IGNORECASE)
    found: dict[tuple[str, str], ImageFile] = {}
    place = _images_folder(top, folder)
    if place.is_dir():
        paths: list[Path | ZipPath] = [*place.iterdir()]
        for path in sorted(paths, key=lambda path: path.name):
            if match := pattern.fullmatch(path.name):
                file = path if isinstance(path, Path) else ZipMember(Path(str(path.root.filename)), path.at)
                name = match[1], match[2].upper()
                if name in found:
                    raise UserError(f"{file}: the same slice as {found[name].name}; keep one of the two")
                found[name] = file
    return found
