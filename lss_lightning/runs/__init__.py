"""Run directories: their layout, the results and checkpoints in them, and the output folder of ``predict.py``."""
