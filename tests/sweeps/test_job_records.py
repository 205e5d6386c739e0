from __future__ import annotations

from lss_lightning.sweeps.job_records import find_job_folders
from tests.sweeps.fake_sweeps import make_job


def test_jobs_are_ordered_by_round_and_number(tmp_path):
    for name in ("10", "2-1", "9", "0", "2-0", "3-0"):
        make_job(tmp_path, name, ["optimizer.lr=0.1"])
    (tmp_path / "notes").mkdir()
    assert [path.name for path in find_job_folders(tmp_path)] == ["0", "9", "10", "2-0", "2-1", "3-0"]
