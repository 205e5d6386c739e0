from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lss_lightning.data.loading import LoadedSlice
from lss_lightning.data.slices import Slice
from lss_lightning.labels import LUMBAR
from lss_lightning.metrics import Records
from lss_lightning.metrics.failures import image_parts
from lss_lightning.workflows.evaluation.cases import WORST, show_cases
from lss_lightning.workflows.evaluation.errors import patients_table, worst_table

OTHER, DISC, SAC = (LUMBAR.keys.index(key) for key in ("other", "intervertebral_disc", "thecal_sac"))


def drawn(disc: int, sac: int = 0) -> np.ndarray:
    """A map of 20 × 20 pixels whose first rows are disc and whose last are sac."""
    classes = np.full((20, 20), OTHER, dtype=np.uint8)
    classes[:disc] = DISC
    classes[20 - sac :] = SAC
    return classes


def piece(patient: str, level: str, label: np.ndarray, channels: int = 3) -> LoadedSlice:
    image = np.zeros((channels, *label.shape), dtype=np.uint8)
    return LoadedSlice(Slice(patient, level, {}, Path("label.png"), None), image, label, 1.0, f"{patient}{level}")


def scored(scores: list[float], channels: int = 3):
    """The cases of slices with these scores, and the places that were segmented; a map holds its slice's place."""
    asked: list[int] = []

    def segment(places: list[int]) -> list[np.ndarray]:
        asked.extend(places)
        return [np.full((20, 20), place % 6, dtype=np.uint8) for place in places]

    slices = [piece(f"{place:04d}", "D4", drawn(3), channels) for place in range(len(scores))]
    return show_cases(slices, np.array(scores), segment), asked


def test_best_median_and_worst_and_the_worst_in_order():
    scores = np.random.default_rng(0).permutation(np.linspace(0, 1, 41)).tolist()
    cases, asked = scored(scores)
    assert [case.iou for case in cases.examples] == pytest.approx([1.0, 0.5, 0.0])
    assert [case.title.partition(":")[0] for case in cases.examples] == ["Best", "Median", "Worst"]
    assert [case.iou for case in cases.worst] == pytest.approx(np.linspace(0, 1, 41)[:WORST].tolist())
    assert cases.worst[0].title == f"Worst 1: patient {scores.index(0.0):04d} D4"
    assert len(asked) == len(set(asked)) == WORST + 2
    for case in (*cases.examples, *cases.worst):
        assert (case.prediction == scores.index(case.iou) % 6).all()


@pytest.mark.parametrize(("scores", "examples", "worst"), [([0.5], 1, 1), ([0.2, 0.8], 2, 2), ([np.nan] * 3, 0, 0)])
def test_few_slices_and_slices_without_a_score(scores, examples, worst):
    cases, asked = scored(scores)
    assert (len(cases.examples), len(cases.worst), len(asked)) == (examples, worst, worst)


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (2, 1), (3, 3)])
def test_an_image_of_one_or_three_channels_is_shown(channels, shown):
    cases, _ = scored([0.5], channels)
    assert cases.worst[0].image.shape == (20, 20, shown)


PAIRS = [
    ("y", "D3", drawn(8), drawn(8)),
    ("y", "D4", drawn(8, 4), drawn(4)),
    ("x", "", drawn(8), np.concatenate([drawn(2)[:5], drawn(8)[:4], drawn(0)[:11]])),
]
"""Right; half of the disc and no sac; the disc in two parts, of 40 and 80 pixels, of 160."""


def found() -> tuple[list[LoadedSlice], Records]:
    pairs = [(truth, ours) for _, _, truth, ours in PAIRS]
    counts = [np.bincount(6 * truth.ravel() + ours.ravel(), minlength=36).reshape(6, 6) for truth, ours in pairs]
    empty = np.zeros(3)
    parts = np.stack([image_parts(ours, truth, 6) for truth, ours in pairs])
    records = Records(np.arange(3), np.stack(counts), empty, empty, empty, parts, np.ones(3, dtype=bool))
    return [piece(patient, level, truth) for patient, level, truth, _ in PAIRS], records


def test_worst_slices_with_what_failed():
    table = worst_table(*found(), LUMBAR)
    assert table.rows[0] == ["Patient y", "D4", "1", "0.250", "Thecal Sac", "0.000", "Thecal Sac missed"]
    # Rows 0, 1, 5, 6 and 7 of 8 are right, and row 8 is wrong.
    assert table.rows[1][:6] == ["Patient x", "–", "2", "0.556", "Intervertebral Disc", "0.556"]
    assert table.rows[1][6] == "Intervertebral Disc split (2 parts, not 1)"
    assert table.rows[2][:4] == ["Patient y", "D3", "3", "1.000"]
    assert table.rows[2][6] == "–"


def test_patients_with_their_slices_pooled():
    table = patients_table(*found(), LUMBAR)
    assert table.columns == ["Patient", "Slices", "Mean IoU", *(label.name for label in LUMBAR if label.anatomical)]
    # Of patient y 12 of 16 rows of disc, and none of 4 of sac.
    assert table.rows == [
        ["Patient y", "2", "0.375", "0.750", "–", "0.000", "–"],
        ["Patient x", "1", "0.556", "0.556", "–", "–", "–"],
    ]
