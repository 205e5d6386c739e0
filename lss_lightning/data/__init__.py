"""Data sources, slices, splits and batches. Only `batches`, `datamodule` and `augment` need torch."""
