"""How the Al-Kafri data lies on disk: folders, file names, levels, and the width of its images."""

from __future__ import annotations

FIELD_OF_VIEW = 220.0
"""Width of every image in mm: 320 pixels of 0.6875 mm (the data set's page)."""

LEVELS = ("D3", "D4", "D5")
"""Slices of a complete patient: L3/L4, L4/L5 and L5/S1."""

FINAL = "05_Final_Ground_Truth_Data"
INTERMEDIATE = "04_Intermediary_Ground_Truth_Data"
REGISTERED = "Registered_From_DICOM"
"""Folder under the root, of the same layout: T1, T2 and composites made here from the raw studies."""

IMAGES = {
    "t1": (f"{INTERMEDIATE}/T1_Output", "T1"),
    "t2": (f"{INTERMEDIATE}/T2_Output", "T2"),
    "composite": (f"{FINAL}/Composite_Images", "C1"),
}
"""Folder and file prefix of each kind of image."""

LABELS = (f"{FINAL}/Label_Images", "L1")
