"""Folders, file names and geometry of the Al-Kafri / Sudirman lumbar-spine data as published."""

from __future__ import annotations

FIELD_OF_VIEW = 220.0
"""Width of every image in mm: 320 pixels of 0.6875 mm (from the data set's web page)."""

ALKAFRI_LEVELS = ("D3", "D4", "D5")
"""Slices of a patient with complete data: L3/L4, L4/L5 and L5/S1."""

FINAL_FOLDER = "05_Final_Ground_Truth_Data"
INTERMEDIATE_FOLDER = "04_Intermediary_Ground_Truth_Data"
REGISTERED_FOLDER = "Registered_From_DICOM"
"""Folder under the root, with the same layout, for the images that this package generates from the raw studies."""

IMAGES = {
    "t1": (f"{INTERMEDIATE_FOLDER}/T1_Output", "T1"),
    "t2": (f"{INTERMEDIATE_FOLDER}/T2_Output", "T2"),
    "composite": (f"{FINAL_FOLDER}/Composite_Images", "C1"),
}
"""Folder and file-name prefix of each kind of image."""

LABELS = (f"{FINAL_FOLDER}/Label_Images", "L1")
"""Folder and file-name prefix of the label images."""
