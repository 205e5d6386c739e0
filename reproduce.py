"""The whole paper in one command, resumable: `python reproduce.py data=alkafri data.root=…`."""

from lss_lightning.cli.main import run

if __name__ == "__main__":
    run("reproduce")
