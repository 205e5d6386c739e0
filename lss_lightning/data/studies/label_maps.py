"""Recognition of label maps among the volumes in the input."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lss_lightning.data.nifti import find_volume_format

LABEL_MAP = "a label map, not an image: few whole numbers in connected areas; give the image that it belongs to"
"""Reason for leaving out a label map."""

# A study usually labels a few dozen structures at most; TotalSegmentator has the most, 117.
_MAX_LABELS = 128
# In a label map, most neighbouring voxels are equal; in an image, noise makes them differ.
_MIN_EQUAL = 0.75
_NIFTI_INTENT_LABEL = "1002"


def is_label_map(path: Path) -> bool:
    """Return whether a volume holds labels rather than an image, judging by its header or its values.

    The name is not used, because the name of an image may contain "seg" and that of a mask may not. The result is False
    for files that cannot be read.
    """
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        image = SimpleITK.ReadImage(str(path), imageIO=find_volume_format(path)[1])
        if image.HasMetaDataKey("intent_code") and image.GetMetaData("intent_code").strip() == _NIFTI_INTENT_LABEL:
            return True
        voxels = SimpleITK.GetArrayViewFromImage(image)
        if image.GetNumberOfComponentsPerPixel() > 1 or not np.isfinite(voxels).all():
            return False
        values = np.unique(voxels)
    except Exception:
        return False
    if not 2 <= len(values) <= _MAX_LABELS or (values != np.rint(values)).any() or values[0] < 0:
        return False
    first, second = voxels[..., :-1], voxels[..., 1:]
    labelled = (first != 0) | (second != 0)
    return bool((first == second)[labelled].mean() >= _MIN_EQUAL) if labelled.any() else False
