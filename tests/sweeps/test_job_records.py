from __future__ import annotations

from lss_lightning.sweeps.job_records import find_job_folders
from tests.sweeps.fake_sweeps import make_job


def test_jobs_are_ordered_by_number(tmp_path):
    for name in ("10", "9", "0", "lr=1"):
        make_job(tmp_path, name, ["optimizer.lr=0.1"])
    (tmp_path / "notes").mkdir()
    assert [path.name for path in find_job_folders(tmp_path)] == ["lr=1", "0", "9", "10"]
