"""The output folder of a study."""

from __future__ import annotations

import logging
import shutil
import traceback
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lss_lightning.config.sections import OutputConfig
from lss_lightning.errors import UserError
from lss_lightning.reporting.dicom import write_seg, write_sr
from lss_lightning.reporting.prediction.label_maps import write_label_maps, write_nifti
from lss_lightning.reporting.prediction.measurements import write_study_csv, write_study_json
from lss_lightning.reporting.prediction.overlays import write_overlays
from lss_lightning.reporting.study import write_study_report
from lss_lightning.stenosis import StudyResult

_T = TypeVar("_T")


def write_study_results(
    study: StudyResult, folder: Path, output: OutputConfig, orientation: str | None = None
) -> tuple[str, ...]:
    """Write the configured outputs of a study. If an optional output cannot be written, the others still are.

    ``measurements.csv`` and ``measurements.json`` are always written. The optional outputs are
    ``label_maps/slice_*.png``, ``segmentation*.nii.gz``, ``overlays/slice_*.png``, ``report.html`` and, for DICOM
    studies, ``segmentation*.dcm`` and ``report.dcm``. Each output that contains the study's remarks also lists the
    preceding outputs that could not be written.

    Args:
        study: The study.
        folder: An empty folder.
        output: Settings for which files to write and whether the DICOM files keep the patient's identity.
        orientation: The axes of the volume from which the study was read, e.g. ``RAS``. None for other studies.

    Returns:
        A clause for each output that could not be written, with the reason.
    """
    attempts = _Attempts(folder)
    if output.label_maps:
        attempts.write("label_maps", lambda: write_label_maps(study, folder / "label_maps"))
    if output.nifti:
        attempts.write("nifti", lambda: write_nifti(study, folder / "segmentation.nii.gz", orientation))
    if output.overlays:
        attempts.write("overlays", lambda: write_overlays(study, folder / "overlays"))
    # highdicom logs each copied attribute, and warnings quote values, e.g. a name with a single component.
    logging.getLogger("highdicom").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        segs: tuple[Path, ...] = ()
        if output.seg:
            seg = folder / "segmentation.dcm"
            segs = attempts.write("seg", lambda: write_seg(study, seg, output.keep_identity)) or ()
        if output.sr:
            remarked, sr = attempts.add_to_remarks(study), folder / "report.dcm"
            # Without segmentations, the report describes areas by their outlines.
            attempts.write("sr", lambda: write_sr(remarked, sr, segs, output.keep_identity))
    study = attempts.add_to_remarks(study)
    write_study_csv(study, folder / "measurements.csv")
    write_study_json(study, folder / "measurements.json")
    if output.html:
        attempts.write("html", lambda: write_study_report(study, folder / "report.html"))
    return tuple(attempts.problems)


class _Attempts:
    """Attempts to write the outputs of a study to a folder.

    Attributes:
        problems: A clause for each output that could not be written.
    """

    def __init__(self, folder: Path) -> None:
        self.problems: list[str] = []
        self._folder = folder

    def add_to_remarks(self, study: StudyResult) -> StudyResult:
        """Return the study with the problems so far added before its remarks."""
        sentences = (f"{problem[0].upper()}{problem[1:]}." for problem in self.problems)
        return replace(study, remarks=(*sentences, *study.remarks))

    def write(self, name: str, write: Callable[[], _T]) -> _T | None:
        """Write an output. If that fails, remove its files and record the reason.

        An :class:`OSError`, such as a full disk or a read-only folder, is raised because it affects every output.
        """
        before = set(self._folder.iterdir())
        try:
            return write()
        except OSError:
            raise
        except Exception as error:
            for path in set(self._folder.iterdir()) - before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            # The messages of other exceptions may quote attributes of the patient.
            reason = str(error) if isinstance(error, UserError) else _describe_crash(error)
            self.problems.append(f"output.{name} not written: {reason}; or set output.{name}=false")
            return None


def _describe_crash(error: Exception) -> str:
    """Return the type and origin of an exception."""
    origin = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(origin.filename).name}:{origin.lineno}; report this error"
