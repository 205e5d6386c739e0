"""Compare runs with each other and with the paper: `python compare.py runs=[logs/…,logs/…]`."""

from lss_lightning.cli.main import run

if __name__ == "__main__":
    run("compare")
