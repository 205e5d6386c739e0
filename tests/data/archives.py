"""Zip archives for tests."""

from __future__ import annotations

import zipfile
from pathlib import Path


def pack(tree: Path, archive: Path, inside: str = "") -> Path:
    """Zip the PNG files of a folder, below a folder named ``inside`` in the archive."""
    archive.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for path in sorted(tree.rglob("*.png")):
            packed.write(path, inside + path.relative_to(tree).as_posix())
    return archive


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return path
