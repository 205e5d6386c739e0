from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from lss_lightning.data.slices import Slice
from lss_lightning.data.splits import PARTS, SplitConfig, shared_patients, split_slices, write_split
from lss_lightning.errors import UserError


def study(patients, levels=("D3", "D4", "D5")):
    return [Slice(f"{patient:04d}", level, {}, Path(), None) for patient in range(1, patients + 1) for level in levels]


def sizes(split):
    return {part: len(split[part]) for part in PARTS}


def names(slices, split):
    return {part: {slices[index].name for index in split[part]} for part in PARTS}


@pytest.mark.parametrize(
    ("config", "patients", "expected"),
    [
        (SplitConfig("image", val_fraction=0.0), 515, (1390, 0, 155)),
        (SplitConfig("patient"), 515, (3 * 412, 3 * 51, 3 * 52)),
        (SplitConfig("patient"), 10, (24, 3, 3)),
        (SplitConfig("patient", val_fraction=0.2, test_fraction=0.2), 5, (9, 3, 3)),
        (SplitConfig("patient", val_fraction=0.0, test_fraction=0.3), 10, (21, 0, 9)),
        (SplitConfig("image"), 10, (24, 3, 3)),
        # In floating point the shares of these are a hair too small.
        (SplitConfig("patient", val_fraction=0.15, test_fraction=0.05), 10, (24, 3, 3)),
        (SplitConfig("resubstitution", val_fraction=0.0, test_fraction=0.0), 2, (6, 6, 6)),
    ],
)
def test_sizes(config, patients, expected):
    assert tuple(sizes(split_slices(study(patients), config)).values()) == expected


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fractions", [(0.1, 0.1), (0.3, 0.15), (0.0, 0.25)])
@pytest.mark.parametrize("protocol", ["patient", "image"])
def test_every_slice_lies_in_one_part_and_no_patient_crosses(protocol, fractions, seed):
    slices = study(37)[2:]
    config = SplitConfig(protocol, *fractions, seed=seed)
    split = split_slices(slices, config)
    assert sorted(index for part in PARTS for index in split[part]) == list(range(len(slices)))
    assert all(split[part] == sorted(split[part]) for part in PARTS)
    patients = {part: {slices[index].patient for index in split[part]} for part in PARTS}
    crossing = patients["train"] & patients["test"]
    assert shared_patients(slices, split) == len(crossing)
    assert bool(crossing) == (protocol == "image")
    assert protocol == "image" or not patients["val"] & (patients["train"] | patients["test"])


@pytest.mark.parametrize("protocol", ["patient", "image"])
def test_seed_decides_and_the_order_of_files_does_not(protocol):
    slices = study(20)
    first = split_slices(slices, SplitConfig(protocol, seed=3))
    assert split_slices(slices, SplitConfig(protocol, seed=3)) == first
    assert split_slices(slices, SplitConfig(protocol, seed=4)) != first
    shuffled = [slices[index] for index in np.random.default_rng(0).permutation(len(slices))]
    assert names(shuffled, split_slices(shuffled, SplitConfig(protocol, seed=3))) == names(slices, first)


def test_the_split_of_a_seed_never_changes():
    # A published split must be had again with any later version of numpy and of this package.
    test = split_slices(study(20, ("D3",)), SplitConfig("patient", seed=0))["test"]
    assert test == [1, 15]


@pytest.mark.parametrize(
    ("config", "patients", "parts"),
    [
        (SplitConfig("patient"), 5, ["5 patients", "the val part", "split.val_fraction=0.1", "resubstitution"]),
        (SplitConfig("patient", val_fraction=0.0), 1, ["1 patients", "the train part"]),
        (SplitConfig("image"), 1, ["3 slices", "the val part"]),
        (SplitConfig("patient"), 0, ["0 patients", "the train part"]),
    ],
)
def test_too_few_are_refused(config, patients, parts):
    with pytest.raises(UserError) as refused:
        split_slices(study(patients), config)
    assert str(refused.value).startswith(f"split={config.protocol}: ")
    assert [part for part in parts if part not in str(refused.value)] == []


@pytest.mark.parametrize(
    ("config", "part", "stamp"),
    [
        (SplitConfig("patient"), "val", ""),
        (SplitConfig("image", val_fraction=0.0), None, ""),
        (SplitConfig("image", val_fraction=0.0, select_on_test=True), "test", "Selected on test."),
        (SplitConfig("resubstitution", val_fraction=0.0), "val", "Trained, selected and tested on the same slices"),
    ],
)
def test_what_selects_and_what_pages_must_say(config, part, stamp):
    assert config.selecting_part == part
    assert config.stamp.startswith(stamp)
    assert bool(config.stamp) == bool(stamp)


@pytest.mark.parametrize(
    ("fractions", "message"),
    [
        ({"val_fraction": 0.5, "test_fraction": 0.5}, "split.val_fraction=0.5 and split.test_fraction=0.5: together"),
        ({"test_fraction": 0.0}, "split.test_fraction=0: leaves no slices to test"),
        ({"select_on_test": True}, "split.select_on_test=true with split.val_fraction=0.1"),
    ],
)
def test_fractions_that_contradict_one_another_are_refused(fractions, message):
    with pytest.raises(UserError) as refused:
        SplitConfig("patient", **fractions)
    assert str(refused.value).startswith(message)


def test_split_is_written_as_a_table(tmp_path):
    slices = study(10)
    split = split_slices(slices, SplitConfig("patient"))
    write_split(tmp_path / "split.csv", slices, split)
    with (tmp_path / "split.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["patient", "level", "part"]
    assert len(rows) == 30
    written = {part: {f"{row['patient']}_{row['level']}" for row in rows if row["part"] == part} for part in PARTS}
    assert written == names(slices, split)
    write_split(tmp_path / "split.csv", slices, split_slices(slices, SplitConfig("resubstitution")))
    assert len((tmp_path / "split.csv").read_text().splitlines()) == 1 + 90
