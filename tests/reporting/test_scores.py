from __future__ import annotations

import csv

import numpy as np
import pytest

from lss_lightning.labels import LUMBAR
from lss_lightning.metrics import Records, summarise_metrics
from lss_lightning.metrics.boundary import bf_tolerance, boundary_measures
from lss_lightning.metrics.calibration import reliability_bins
from lss_lightning.metrics.failures import image_parts
from lss_lightning.reporting import write_per_image, write_scores

CAPTION = "Phantom data | test part. Research use only."


def found(spacings: list[float | None]) -> Records:
    """A disc of 12 × 12 pixels, predicted a column to the right; in the last image it is missed."""
    target = np.full((32, 32), 5, dtype=np.uint8)
    target[10:22, 10:22] = 1
    maps = [np.roll(target, 1, axis=1)] * (len(spacings) - 1) + [np.full_like(target, 5)]
    counts = [np.bincount(6 * target.ravel() + each.ravel(), minlength=36).reshape(6, 6) for each in maps]
    said = np.full((6, 1024), 0.02)
    said[1] = said[5] = 0.46
    return Records(
        indices=np.arange(len(maps)),
        counts=np.stack(counts),
        boundary=np.stack([boundary_measures(each, target, 6, s) for each, s in zip(maps, spacings, strict=True)]),
        bf_tolerance=np.array([bf_tolerance((32, 32), spacing) for spacing in spacings]),
        reliability=np.stack([reliability_bins(said, target.ravel())] * len(maps)),
        parts=np.stack([image_parts(each, target, 6) for each in maps]),
        finite=np.ones(len(maps), dtype=bool),
    )


def written(folder, spacings=(1.0, 1.0, 1.0)):
    spacings = list(spacings)
    patients = [str(place) for place in range(len(spacings))]
    levels = ["D3"] * (len(spacings) - 1) + ["D4"]
    metrics = summarise_metrics(found(spacings), patients, spacings, LUMBAR, {"level": levels})
    write_scores(metrics, LUMBAR, folder, caption=CAPTION)
    return metrics, (folder / "scores.md").read_text(encoding="utf-8")


def section(text, title):
    """The rows of the table under a heading."""
    lines = text.split(f"### {title}\n")[1].split("### ")[0].splitlines()
    return {row[0]: row[1:] for row in ([c.strip() for c in x.strip("|").split("|")] for x in lines if x[:1] == "|")}


def test_tables_hold_the_figures(tmp_path):
    metrics, text = written(tmp_path)
    low, high = metrics["iou_ci95"]["intervertebral_disc"]
    # 11 of 12 columns in common, 13 in either, in two of three images: 264 of 456 pixels.
    assert section(text, "Overlap, pooled")["Intervertebral Disc"][0] == f"{264 / 456:.3f} [{low:.3f}, {high:.3f}]"
    heading, disc = (section(text, "Boundaries")[name] for name in ("Class", "Intervertebral Disc"))
    row = dict(zip(heading, disc, strict=True))
    # The tolerance of 0.7 mm is less than a pixel: half of both boundaries coincide, in two of three images.
    assert row["NSD at 0.7 mm"] == "0.333"
    assert row["NSD at 1.4 mm"] == "0.667"
    assert (row["HD95, mm"], row["ASSD, mm"]) == ("1.00", "0.50")
    assert row["Images with a distance"] == "2"
    assert section(text, "Failures by class")["Intervertebral Disc"] == ["3", "1", "0", "0", "0"]
    assert section(text, "By level: IoU, pooled")["Class"] == ["D3 (2 images)", "D4 (1 images)"]
    assert section(text, "By level: HD95, mm")["Intervertebral Disc"] == ["1.00", "–"]


def test_every_table_names_its_convention(tmp_path):
    text = written(tmp_path)[1]
    assert CAPTION in text.splitlines()[0]
    for part in text.split("### ")[1:]:
        assert len(part.splitlines()[2]) > 20, part
    assert "0.75 % of the image's diagonal, here 0.34 mm" in text
    assert "px" not in section(text, "Boundaries")["Class"]


def test_unknown_spacing_is_said(tmp_path):
    text = written(tmp_path, (None, None, None))[1]
    heading = section(text, "Boundaries")["Class"]
    assert heading[:4] == ["NSD at 1 px", "NSD at 2 px", "HD95, px", "ASSD, px"]
    assert "In pixels (px) where an image's pixel size is unknown." in text


def test_list_holds_every_figure_once_with_its_group(tmp_path):
    metrics, _ = written(tmp_path)
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


def test_a_row_for_each_image_and_class(tmp_path):
    scores = {"label_px": np.arange(12).reshape(2, 6), "hd95_mm": np.full((2, 6), np.nan)}
    scores["hd95_mm"][1, 2] = 2.5
    write_per_image(tmp_path / "x.csv", [{"patient": "1"}, {"patient": "2"}], scores, LUMBAR)
    with (tmp_path / "x.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert rows[8] == {"patient": "2", "class": "posterior_element", "label_px": "8", "hd95_mm": "2.5"}
    assert rows[0]["hd95_mm"] == ""


@pytest.mark.parametrize("spacings", [(1.0, 1.0), (1.0, None)])
def test_one_group_is_not_told_apart(tmp_path, spacings):
    metrics = summarise_metrics(found(list(spacings)), ["a", "b"], list(spacings), LUMBAR, {"level": ["D4", "D4"]})
    write_scores(metrics, LUMBAR, tmp_path, caption=CAPTION)
    assert "By level" not in (tmp_path / "scores.md").read_text(encoding="utf-8")
