"""Where a segmentation holds what was segmented of which image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from highdicom.sr import ReferencedSegmentationFrame, SourceImageForSegmentation
from pydicom.dataset import Dataset

from lss_lightning.labels import LabelSet

Frames: TypeAlias = Mapping[tuple[str, str], "SegmentFrame"]
"""By SOP instance UID of the source image, and class key."""


@dataclass(frozen=True)
class SegmentFrame:
    """A frame of a segmentation.

    Attributes:
        segmentation: The segmentation, without pixels.
        segment: Number of the segment.
        frame: Number of the frame.
        source: The image that it was made from.
    """

    segmentation: Dataset
    segment: int
    frame: int
    source: Dataset

    def reference(self) -> ReferencedSegmentationFrame:
        """The frame as a report refers to it."""
        reference = ReferencedSegmentationFrame(
            self.segmentation.SOPClassUID,
            self.segmentation.SOPInstanceUID,
            frame_number=self.frame,
            segment_number=self.segment,
            source_image=SourceImageForSegmentation(
                self.source.ReferencedSOPClassUID, self.source.ReferencedSOPInstanceUID
            ),
        )
        # The frame has one segment; naming both is not allowed (PS3.3, table 10-3).
        del reference[0].ReferencedSOPSequence[0].ReferencedSegmentNumber
        return reference


def find_frames(segmentations: Iterable[Dataset], labels: LabelSet) -> Frames:
    """Look up what :func:`~lss_lightning.reporting.dicom.seg.write_seg` wrote for these classes."""
    found = {}
    for segmentation in segmentations:
        for number, groups in enumerate(segmentation.PerFrameFunctionalGroupsSequence, start=1):
            source = groups.DerivationImageSequence[0].SourceImageSequence[0]
            segment = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            key = labels[labels.anatomical[segment - 1]].key
            found[str(source.ReferencedSOPInstanceUID), key] = SegmentFrame(segmentation, segment, number, source)
    return found
