"""Commands in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python(*line: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run Python with a command line, and return the process with its output."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, *line],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=environment,
        cwd=folder,
    )


def command(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the repository, such as `train.py`."""
    return python(str(ROOT / script), *arguments)
