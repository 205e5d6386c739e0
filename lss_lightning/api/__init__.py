"""The commands as functions, for notebooks and other programs. Their names can be imported from ``lss_lightning``."""
