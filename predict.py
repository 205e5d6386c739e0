"""Segment and measure studies: `python predict.py ckpt_path=… input=… output=…`."""

from lss_lightning.entry import run

if __name__ == "__main__":
    run("predict")
