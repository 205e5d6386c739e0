"""Segment and measure studies: `python predict.py ckpt_path=… input=… output=…`."""

from lss_lightning.cli.main import run

if __name__ == "__main__":
    run("predict")
