"""Lookup of the segmentation frame that holds a class of a source image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from highdicom.sr import ReferencedSegmentationFrame, SourceImageForSegmentation
from pydicom.dataset import Dataset

from lss_lightning.labels import LabelSet

Frames: TypeAlias = Mapping[tuple[str, str], "SegmentFrame"]
"""Frames by the SOP Instance UID of the source image and the class key."""


@dataclass(frozen=True)
class SegmentFrame:
    """A frame of a segmentation.

    Attributes:
        segmentation: The segmentation, whose pixels are not needed.
        segment: The number of the segment.
        frame: The number of the frame.
        source: The reference to the source image.
    """

    segmentation: Dataset
    segment: int
    frame: int
    source: Dataset

    def reference(self) -> ReferencedSegmentationFrame:
        """Return a reference to the frame for a structured report."""
        reference = ReferencedSegmentationFrame(
            self.segmentation.SOPClassUID,
            self.segmentation.SOPInstanceUID,
            frame_number=self.frame,
            segment_number=self.segment,
            source_image=SourceImageForSegmentation(
                self.source.ReferencedSOPClassUID, self.source.ReferencedSOPInstanceUID
            ),
        )
        # The frame has one segment, and PS3.3, Table 10-3, does not allow a reference to name both.
        del reference[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
        return reference


def find_frames(segmentations: Iterable[Dataset], labels: LabelSet) -> Frames:
    """Find the frames of segmentations written by :func:`~lss_lightning.reporting.dicom.seg.write_seg`.

    Args:
        segmentations: The segmentations of a study, with or without pixels.
        labels: The classes that were segmented.
    """
    frames, keys = {}, {label.name: label.key for label in labels}
    for segmentation in segmentations:
        for number, groups in enumerate(segmentation.PerFrameFunctionalGroupsSequence, start=1):
            source = groups.DerivationImageSequence[0].SourceImageSequence[0]
            segment = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            key = keys[segmentation.SegmentSequence[segment - 1].SegmentLabel]
            frames[str(source.ReferencedSOPInstanceUID), key] = SegmentFrame(segmentation, segment, number, source)
    return frames
