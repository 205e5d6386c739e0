from __future__ import annotations

import csv

import numpy as np

from lss_lightning.labels import LUMBAR
from lss_lightning.reporting import write_per_image


def test_csv_has_a_row_for_each_image_and_class(tmp_path):
    scores = {"label_px": np.arange(12).reshape(2, 6), "hd95_mm": np.full((2, 6), np.nan)}
    scores["hd95_mm"][1, 2] = 2.5
    write_per_image(tmp_path / "x.csv", [{"patient": "1"}, {"patient": "2"}], scores, LUMBAR)
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[8] == {"patient": "2", "class": "posterior_element", "label_px": "8", "hd95_mm": "2.5"}
    assert rows[0]["hd95_mm"] == ""
