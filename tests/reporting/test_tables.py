import csv
import io
import math
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from lss_lightning.labels import LUMBAR, LabelSet
from lss_lightning.metrics import summarise_overlap
from lss_lightning.reporting import print_table, write_table2
from lss_lightning.reporting.tables import format_score

CAPTION = (
    "Phantom data, test subset | split by patient, pooled IoU. Phantom data: no clinical meaning. Research use only."
)


@pytest.fixture
def metrics():
    counts = np.diag([0, 700, 800, 900, 1000, 5000])
    counts[1, 2] = 300
    return summarise_overlap(counts[None], ["0001"], LUMBAR)


def print_to_text(metrics, labels=LUMBAR, title="t", caption="c", width=100):
    stream = io.StringIO()
    print_table(metrics, labels, title=title, caption=caption, console=Console(file=stream, width=width))
    return stream.getvalue()


def read_markdown(folder):
    lines = (folder / "table2.md").read_text(encoding="utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]


def read_csv(folder):
    with (folder / "table2.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_markdown_has_our_column_beside_those_of_the_paper(tmp_path, metrics):
    write_table2(metrics, LUMBAR, tmp_path, name="resunet-resnet34", caption=CAPTION)

    heading, rule, *rows = read_markdown(tmp_path)
    paper = ["ResUNet (paper)", "Inception+UNet (paper)", "VGG16-UNet (paper)"]
    assert heading == ["Class", "Previous work [5]", *paper, "resunet-resnet34"]
    assert rule == ["---", *["---:"] * 5]
    assert rows == [
        ["Unregistered", "0.21", "0.998", "0.57", "0.22", "–"],
        ["Intervertebral Disc", "0.92", "0.999", "0.78", "0.86", "0.700"],
        ["Posterior Element", "0.78", "0.997", "0.71", "0.59", "0.727"],
        ["Thecal Sac", "0.85", "0.982", "0.80", "0.16", "1.000"],
        ["AAP", "0.53", "0.952", "0.56", "0.13", "1.000"],
        ["Other", "0.98", "0.999", "0.90", "0.96", "1.000"],
        ["Mean over classes", "0.71", "0.988", "0.72", "0.49", "0.885"],
        ["Mean without Unregistered", "0.81", "0.986", "0.75", "0.54", "0.885"],
        ["Mean without Other", "0.66", "0.986", "0.68", "0.39", "0.857"],
        ["Mean over anatomical classes", "0.77", "0.983", "0.71", "0.44", "0.857"],
    ]


def test_markdown_states_its_data_and_the_limits_of_the_comparison(tmp_path, metrics):
    write_table2(metrics, LUMBAR, tmp_path, name="ours", caption=CAPTION)
    text = (tmp_path / "table2.md").read_text(encoding="utf-8")
    assert CAPTION in text.splitlines()[0]
    for statement in (
        "pooled",
        "resnet34, inception_v3",
        "not patient-disjoint",
        "0.987 (abstract)",
        "0.98 (Table 3)",
        "0.988",
    ):
        assert statement in text


def test_csv_has_numbers_and_ends_with_the_caption(tmp_path, metrics):
    write_table2(metrics, LUMBAR, tmp_path, name="ours", caption=CAPTION)

    heading, *rows, last = read_csv(tmp_path)
    table = {row[0]: dict(zip(heading[1:], row[1:], strict=True)) for row in rows}
    means = ["over classes", "without Unregistered", "without Other", "over anatomical classes"]
    assert list(table) == [*(label.name for label in LUMBAR), *(f"Mean {mean}" for mean in means)]
    assert table["Unregistered"]["ours"] == ""
    assert float(table["Posterior Element"]["ours"]) == pytest.approx(800 / 1100, abs=1e-6)
    assert float(table["Mean over classes"]["ours"]) == pytest.approx((0.7 + 800 / 1100 + 3) / 5, abs=1e-6)
    assert float(table["Mean over anatomical classes"]["ours"]) == pytest.approx((0.7 + 800 / 1100 + 2) / 4, abs=1e-6)
    assert float(table["Thecal Sac"]["VGG16-UNet (paper)"]) == 0.16
    assert float(table["Mean over classes"]["ResUNet (paper)"]) == pytest.approx(5.927 / 6, abs=1e-6)
    assert last == [f"# {CAPTION}"]


def test_other_classes_have_no_published_columns(tmp_path, metrics):
    labels = LabelSet(LUMBAR.labels[:5])
    write_table2(metrics, labels, tmp_path, name="a|b", caption=CAPTION)

    lines = (tmp_path / "table2.md").read_text(encoding="utf-8").splitlines()
    assert r"| Class | a\|b |" in lines
    assert "| Intervertebral Disc | 0.700 |" in lines
    assert not any("Altun" in line or "Other" in line for line in lines)
    assert read_csv(tmp_path)[0] == ["class", "a|b", "a|b, 95 % low", "a|b, 95 % high"]


def test_our_column_has_its_intervals(tmp_path, metrics):
    intervals = {**metrics["iou_ci95"], "thecal_sac": [0.95049, 1.0]}
    metrics = {**metrics, "iou_ci95": intervals, "mean_iou_anatomy_ci95": [0.8, 0.9]}
    write_table2(metrics, LUMBAR, tmp_path, name="ours", caption=CAPTION)
    cells = {row[0]: row[-1] for row in read_markdown(tmp_path)}
    assert cells["Thecal Sac"] == "1.000 [0.950, 1.000]"
    assert cells["Mean over anatomical classes"] == "0.857 [0.800, 0.900]"
    assert cells["AAP"] == "1.000"
    bounds = {row[0]: row[-2:] for row in read_csv(tmp_path)}
    assert bounds["Thecal Sac"] == ["0.95049", "1.0"]
    assert bounds["AAP"] == ["", ""]


@pytest.mark.parametrize(
    ("score", "decimals", "expected"),
    [
        (None, 3, "–"),
        (math.nan, 3, "–"),
        (0.0, 3, "0.000"),
        (1.0, 2, "1.00"),
        (0.0625, 3, "0.063"),
        (0.435, 2, "0.44"),  # slightly below the tie in binary
        (np.float64(0.12349), 3, "0.123"),
    ],
)
def test_format_score(score, decimals, expected):
    assert format_score(score, decimals) == expected


def test_terminal_table_has_every_score_and_the_means(metrics):
    intervals = {**metrics["iou_ci95"], "intervertebral_disc": [0.65, 0.75]}
    metrics = {**metrics, "iou_ci95": intervals, "mean_iou_anatomy_ci95": [0.8, 0.9]}
    printed = print_to_text(metrics, title="Test [best]", caption="Split [by patient]")

    rows = {cells[0]: cells[1:] for cells in (line.strip("│┃ ").split() for line in printed.splitlines()) if cells}
    assert rows["Unregistered"] == ["│", "–", *["│", "–"] * 3]
    assert "│ Intervertebral Disc          │ 0.700 [0.650, 0.750] │ 0.824 │     1.000 │  0.700 │" in printed
    assert "│ Posterior Element            │                0.727 │ 0.842 │     0.727 │  1.000 │" in printed
    assert "│ Mean over classes            │                0.885 │" in printed
    assert "│ Mean over anatomical classes │ 0.857 [0.800, 0.900] │" in printed
    assert "Test [best]" in printed
    assert "Split [by patient]" in printed


def test_brackets_in_a_class_name_are_printed(metrics):
    labels = LabelSet((replace(LUMBAR[0], name="Gap [red]"), *LUMBAR.labels[1:]))
    assert "Gap [red]" in print_to_text(metrics, labels)


def test_terminal_table_fits_in_80_columns_without_breaking_numbers(metrics):
    metrics = {**metrics, "mean_iou_anatomy_ci95": [0.8, 0.9]}
    printed = print_to_text(metrics, width=80)
    assert "0.857 [0.800, 0.900]" in printed
    assert max(map(len, printed.splitlines())) <= 80
