from __future__ import annotations

from lss_lightning.reporting.loggers.csv import CSVLogger
from tests.reporting.loggers.samples import make_description

ROWS = [{"epoch": 0.0, "val/iou": float("nan"), "lr": 0.1}, {"epoch": 1.0, "val/iou": 0.1234567, "lr": 0.1}]
TIMING = [{"epoch": 0.0, "seconds": 2.5}, {"epoch": 1.0, "seconds": 2.25}]


def make_logger(folder):
    logger = CSVLogger()
    logger.describe_run(make_description(folder))
    return logger


def test_tables_have_a_row_per_epoch_with_exact_values(tmp_path):
    logger = make_logger(tmp_path)
    for count in (1, 2):
        logger.log_metrics({**ROWS[count - 1], **TIMING[count - 1]}, count - 1)
        logger.write_epochs(ROWS[:count], TIMING[:count])
    assert (tmp_path / "metrics.csv").read_text() == "epoch,val/iou,lr\n0,nan,0.1\n1,0.1234567,0.1\n"
    assert (tmp_path / "timing.csv").read_text() == "epoch,seconds\n0,2.5\n1,2.25\n"
    assert logger.save_dir == str(tmp_path)


def test_a_metric_that_a_callback_passes_on_has_the_last_value_of_the_epoch(tmp_path):
    logger = make_logger(tmp_path)
    for count in (1, 2):
        for step in range(3):
            logger.log_metrics({"memory": count + step / 10}, 3 * count + step)
        logger.write_epochs(ROWS[:count], TIMING[:count])
    expected = "epoch,val/iou,lr,memory\n0,nan,0.1,1.2\n1,0.1234567,0.1,2.2\n"
    assert (tmp_path / "metrics.csv").read_text() == expected
    resumed = make_logger(tmp_path)
    resumed.log_past_epochs([{"epoch": 0.0, "lr": 0.1, "seconds": 2.5}])
    resumed.log_metrics({"memory": 9.0}, 3)
    resumed.write_epochs(ROWS, TIMING)
    assert (tmp_path / "metrics.csv").read_text() == expected.replace("2.2", "9.0")
