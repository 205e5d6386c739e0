from __future__ import annotations

import pytest

from lss_lightning.workflows.training.progress import TrainingProgressBar
from tests.workflows.quick_runs import start

pytestmark = pytest.mark.usefixtures("untested")


def test_progress_bar_shows_speed_and_remaining_time_of_the_whole_run(tree, tmp_path, monkeypatch):
    shown = []
    original = TrainingProgressBar.get_metrics

    def get_metrics(*args):
        shown.append(original(*args))
        return shown[-1]

    monkeypatch.setattr(TrainingProgressBar, "get_metrics", get_metrics)
    start(tmp_path / "run", tree, "callbacks=default", "trainer.max_epochs=2")
    assert set(shown[-1]) == {"images/s", "left", "val IoU"}
    assert shown[-1]["left"] == "0:00:00"
    assert all(float(metrics["images/s"]) > 1 for metrics in shown if "images/s" in metrics)
