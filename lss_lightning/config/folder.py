"""Where the YAML files lie."""

from __future__ import annotations

from pathlib import Path


def config_folder() -> Path:
    """The folder with the YAML files: ``conf/`` of the checkout, or the copy inside an installed package."""
    package = Path(__file__).parents[1]
    installed = package / "conf"
    return installed if installed.is_dir() else package.parent / "conf"
