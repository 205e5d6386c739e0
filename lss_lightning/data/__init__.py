"""Sources, slices, splits and batches. Light to import: what needs torch lies in `batches` and `datamodule`."""
