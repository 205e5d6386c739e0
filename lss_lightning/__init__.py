"""Segmentation of axial lumbar MRI with interchangeable U-Net encoders, after Altun & Alkan (2023)."""

__version__ = "0.1.0"
