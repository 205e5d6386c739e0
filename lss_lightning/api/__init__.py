"""The commands as functions, for notebooks and other programs. Import the functions from ``lss_lightning``."""
