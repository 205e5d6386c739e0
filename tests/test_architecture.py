"""The layers of the package, the size of its files and the uniqueness of its names."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from docs.draw_architecture import LAYERS, PICTURE, draw

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "lss_lightning"
LONGEST_FILE = 300  # lines
GROUND = {"errors.py", "labels.py", "files.py", "display.py"}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def test_imports_point_down_and_have_no_cycles():
    # In a process of its own, because import-linter disables the loggers that exist when it starts.
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    line = [sys.executable, "-c", program, "--no-cache"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout
    assert "2 kept, 0 broken" in done.stdout


def test_package_root_holds_only_the_layers():
    entry = {"__init__.py", "__main__.py", "py.typed"}
    content = {path.name for path in PACKAGE.iterdir() if path.name != "__pycache__"}
    assert content == entry | GROUND | (LAYERS.keys() - {"ground"})


def test_no_file_is_too_long():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_two_public_classes_share_a_name():
    homes = defaultdict(list)
    for path in modules():
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(str(path.relative_to(ROOT)))
    assert len(homes) > 100
    assert {name: paths for name, paths in homes.items() if len(paths) > 1} == {}


def test_diagram_shows_the_imports():
    assert PICTURE.read_text(encoding="utf-8") == draw(), "run: python -m docs.draw_architecture"


@pytest.mark.parametrize("name", ["lss_lightning.errors", "lss_lightning.files"])
def test_ground_is_documented(name):
    assert f"`{name.partition('.')[2]}" in (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
