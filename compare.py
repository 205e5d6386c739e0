"""Hold runs against each other and against the paper: `python compare.py runs=[logs/…,logs/…]`."""

from lss_lightning.cli.main import run

if __name__ == "__main__":
    run("compare")
