"""Conformance of SEG and SR to the DICOM standard."""

from __future__ import annotations

import shutil
import subprocess

import pytest


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (dicom3tools) is not installed")
def test_dciodvfy_reports_no_error(written):
    _, segs, sr, _ = written
    for path in (*segs, sr):
        done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        errors = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
        assert errors == []
        assert "Segmentation" in done.stdout + done.stderr or "ComprehensiveSR" in done.stdout + done.stderr
