"""Test a checkpoint and write a report: `python evaluate.py ckpt_path=…`."""

from lss_lightning.cli.main import run

if __name__ == "__main__":
    run("evaluate")
