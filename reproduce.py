"""Reproduce the paper in one command, which can be resumed: `python reproduce.py data=alkafri data.root=…`."""

from lss_lightning.cli.main import run

if __name__ == "__main__":
    run("reproduce")
