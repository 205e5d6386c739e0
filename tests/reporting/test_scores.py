from __future__ import annotations

import csv

import numpy as np
import pytest

from lss_lightning.labels import LUMBAR
from lss_lightning.metrics import Records, summarise_metrics
from lss_lightning.metrics.boundary import bf_tolerance, compute_boundary_metrics
from lss_lightning.metrics.calibration import reliability_bins
from lss_lightning.metrics.failures import count_image_parts
from lss_lightning.reporting import write_scores

CAPTION = "Phantom data | test set. Research use only."


def make_records(spacings: list[float | None]) -> Records:
    """Make records of a disc of 12 x 12 pixels, predicted one column to the right, and missed in the last image."""
    target = np.full((32, 32), 5, dtype=np.uint8)
    target[10:22, 10:22] = 1
    maps = [np.roll(target, 1, axis=1)] * (len(spacings) - 1) + [np.full_like(target, 5)]
    counts = [np.bincount(6 * target.ravel() + map_.ravel(), minlength=36).reshape(6, 6) for map_ in maps]
    boundary = [compute_boundary_metrics(map_, target, 6, s) for map_, s in zip(maps, spacings, strict=True)]
    probabilities = np.full((6, 1024), 0.02)
    probabilities[1] = probabilities[5] = 0.46
    return Records(
        indices=np.arange(len(maps)),
        counts=np.stack(counts),
        boundary=np.stack(boundary),
        bf_tolerance=np.array([bf_tolerance((32, 32), spacing) for spacing in spacings]),
        reliability=np.stack([reliability_bins(probabilities, target.ravel())] * len(maps)),
        parts=np.stack([count_image_parts(map_, target, 6) for map_ in maps]),
        finite=np.ones(len(maps), dtype=bool),
    )


def write(folder, spacings=(1.0, 1.0, 1.0)):
    spacings = list(spacings)
    patients = [str(number) for number in range(len(spacings))]
    levels = ["D3"] * (len(spacings) - 1) + ["D4"]
    metrics = summarise_metrics(make_records(spacings), patients, spacings, LUMBAR, {"level": levels})
    write_scores(metrics, LUMBAR, folder, caption=CAPTION)
    return metrics, (folder / "scores.md").read_text(encoding="utf-8")


def read_table(text, title):
    """Read the cells of a table by the name of the row."""
    lines = text.split(f"### {title}\n")[1].split("### ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return {name: cells for name, *cells in rows}


def test_tables_have_the_scores(tmp_path):
    metrics, text = write(tmp_path)
    low, high = metrics["iou_ci95"]["intervertebral_disc"]
    # In two of three images 11 columns are in the intersection and 13 in the union: 264 of 456 pixels.
    assert read_table(text, "Overlap, pooled")["Intervertebral Disc"][0] == f"{264 / 456:.3f} [{low:.3f}, {high:.3f}]"
    heading, disc = (read_table(text, "Boundaries")[name] for name in ("Class", "Intervertebral Disc"))
    row = dict(zip(heading, disc, strict=True))
    # The tolerance of 0.7 mm is less than a pixel. In two of three images half of both boundaries coincide.
    assert row["NSD at 0.7 mm"] == "0.333"
    assert row["NSD at 1.4 mm"] == "0.667"
    assert (row["HD95, mm"], row["ASSD, mm"]) == ("1.00", "0.50")
    assert row["Images with a distance"] == "2"
    assert read_table(text, "Failures by class")["Intervertebral Disc"] == ["3", "1", "0", "0", "0"]
    assert read_table(text, "By level: IoU, pooled")["Class"] == ["D3 (2 images)", "D4 (1 image)"]
    assert read_table(text, "By level: HD95, mm")["Intervertebral Disc"] == ["1.00", "–"]


def test_every_table_states_its_convention(tmp_path):
    text = write(tmp_path)[1]
    assert CAPTION in text.splitlines()[0]
    for part in text.split("### ")[1:]:
        assert len(part.splitlines()[2]) > 20, part
    assert "0.75 % of the image diagonal, here 0.34 mm" in text
    assert "px" not in read_table(text, "Boundaries")["Class"]


def test_unknown_spacing_is_stated(tmp_path):
    text = write(tmp_path, (None, None, None))[1]
    heading = read_table(text, "Boundaries")["Class"]
    assert heading[:4] == ["NSD at 1 px", "NSD at 2 px", "HD95, px", "ASSD, px"]
    assert "In pixels (px) for images of unknown pixel spacing." in text


def test_csv_has_every_score_once_with_its_group(tmp_path):
    metrics, _ = write(tmp_path)
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        *rows, last = csv.reader(file)
    keys = [tuple(row[:4]) for row in rows[1:]]
    assert len(set(keys)) == len(keys)
    table = dict(zip(keys, (row[4:] for row in rows[1:]), strict=True))
    disc = "intervertebral_disc"
    assert float(table["", "", "iou", disc][0]) == metrics["iou"][disc]
    assert [float(bound) for bound in table["", "", "iou", disc][1:3]] == metrics["iou_ci95"][disc]
    assert table["", "", "hd95_mm", disc] == ["1.0", "", "", "2"]
    assert table["level", "D4", "hd95_mm", disc] == ["", "", "", "0"]
    assert table["", "", "iou", "aap"][0] == ""
    assert table["level", "D4", "missed", disc][0] == "1"
    assert last == [f"# {CAPTION}"]


@pytest.mark.parametrize("spacings", [(1.0, 1.0), (1.0, None)])
def test_a_single_group_has_no_table(tmp_path, spacings):
    metrics = summarise_metrics(
        make_records(list(spacings)), ["a", "b"], list(spacings), LUMBAR, {"level": ["D4", "D4"]}
    )
    write_scores(metrics, LUMBAR, tmp_path, caption=CAPTION)
    assert "By level" not in (tmp_path / "scores.md").read_text(encoding="utf-8")
