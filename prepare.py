"""Prepare a data set and list its contents: `python prepare.py --help` lists the settings."""

from lss_lightning.cli.main import run

if __name__ == "__main__":
    run("prepare")
