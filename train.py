"""Train a network, test its best checkpoint and write a report: `python train.py --help` lists the settings."""

from lss_lightning.cli.main import run

if __name__ == "__main__":
    run("train")
