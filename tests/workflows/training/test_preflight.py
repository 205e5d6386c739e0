"""Checks of the parts of a split before the first epoch."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.errors import UserError
from lss_lightning.workflows import train
from lss_lightning.workflows.training.preflight import check_before_training
from tests.conftest import configure
from tests.workflows.quick_runs import QUICK

CLASSES = "data.classes={background: 0, disc: 1, sac: 2}"
PARTS = ["train"] * 4 + ["val"] * 2 + ["test"] * 2


def write_data(root: Path, codes: list[list[int]]) -> tuple[str, ...]:
    """Write a slice per list of codes, of two patients per part, and return the settings of the data."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for index, values in enumerate(codes):
        mask = np.resize(np.array(values, np.uint8), (32, 32))
        noise = np.random.default_rng(index).integers(0, 99, (32, 32))
        Image.fromarray(mask).save(root / f"masks/p{index}.png")
        Image.fromarray((mask * 60 + noise).astype(np.uint8)).save(root / f"images/p{index}.png")
    rows = [f"p{index},{part}" for index, part in enumerate(PARTS)]
    (root / "split.csv").write_text("\n".join(["patient,part", *rows]) + "\n")
    return ("data=folder", f"data.root={root}", CLASSES, "split=file", f"split.file={root}/split.csv")


def check(line: tuple[str, ...], *overrides: str, ranks: int = 1) -> None:
    config = configure(*line, *overrides)
    data = SliceDataModule(config.data, config.split)
    data.setup()
    check_before_training(data, config.trainer, ranks)


def codes_by_part(train: list[int], val: list[int], test: list[int]) -> list[list[int]]:
    values = {"train": train, "val": val, "test": test}
    return [values[part] for part in PARTS]


ALL = [0, 1, 2]


@pytest.mark.parametrize(
    ("codes", "overrides", "message"),
    [
        (
            (ALL, [0], ALL),
            (),
            "2 slices in the validation set holds an anatomical class (Disc, Sac), so val",
        ),
        (
            (ALL, ALL, [0]),
            (),
            "2 slices in the test set holds an anatomical class (Disc, Sac), so there is no",
        ),
        (
            ([0], ALL, ALL),
            (),
            "4 slices in the training set holds an anatomical class (Disc, Sac), so there",
        ),
        (
            (ALL, [1], ALL),
            ("data.background=[background, disc]",),
            "validation set holds an anatomical class (Sac)",
        ),
        (
            (ALL, ALL, [2]),
            ("data.background=[background, sac]",),
            "test set holds an anatomical class (Disc), so",
        ),
    ],
    ids=str,
)
def test_part_without_anatomy_is_refused(codes, overrides, message, tmp_path):
    with pytest.raises(UserError) as refused:
        check(write_data(tmp_path, codes_by_part(*codes)), *overrides)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("loop", ["val", "test"])
def test_limit_that_leaves_only_slices_without_anatomy_is_refused(loop, tmp_path):
    codes = codes_by_part(ALL, ALL, ALL)
    codes[PARTS.index(loop)] = [0]
    line = write_data(tmp_path, codes)
    check(line)
    with pytest.raises(UserError, match=rf"no label of the first 1 slice in .*increase trainer\.limit_{loop}_batches"):
        check(line, "data.batch_size=1", f"trainer.limit_{loop}_batches=1")
    check(line, "data.batch_size=1", f"trainer.limit_{loop}_batches=2")
    check(line, "data.batch_size=1", f"trainer.limit_{loop}_batches=1", ranks=2)


@pytest.mark.parametrize("loop", ["train", "val", "test"])
def test_limit_below_one_batch_is_refused(loop, tmp_path):
    line = write_data(tmp_path, codes_by_part(ALL, ALL, ALL))
    with pytest.raises(UserError, match=rf"trainer\.limit_{loop}_batches=0\.1: less than one of the \d batches of the"):
        check(line, f"trainer.limit_{loop}_batches=0.1")


def test_more_devices_than_training_slices_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"5 processes for 4 training slices; use fewer devices"):
        check(write_data(tmp_path, codes_by_part(ALL, ALL, ALL)), ranks=5)


@pytest.mark.parametrize(
    ("codes", "overrides", "message"),
    [
        (
            (ALL, ALL, ALL),
            ("data.classes={background: 0, disc: 1, sac: 2, bone: 7}",),
            "no label holds Bone (code 7)",
        ),
        (([0, 1], ALL, ALL), (), "no training label holds Sac, but other parts of the split do: it cannot be learned"),
        ((ALL, [0, 2], ALL), (), "no label of the validation set holds Disc: its IoU is 0 if it is predicted"),
        ((ALL, ALL, [0, 1]), (), "no label of the test set holds Sac: its IoU is 0 if it is predicted anywhere, and"),
        ((ALL, ALL, ALL), ('data.patient="(p)"', "split=image"), "the test set has one patient: confidence intervals"),
    ],
    ids=str,
)
def test_scores_that_cannot_be_computed_are_announced(codes, overrides, message, tmp_path, caplog):
    data, root, classes, *split = write_data(tmp_path, codes_by_part(*codes))
    line = (data, root, *([] if "classes" in str(overrides) else [classes]))
    line = (*line, *([] if "split=image" in overrides else split))
    with caplog.at_level(logging.WARNING):
        check(line, *overrides)
    assert [record.message for record in caplog.records if message in record.message]


def test_complete_data_gives_no_warning(tmp_path, caplog):
    line = write_data(tmp_path, codes_by_part(ALL, ALL, ALL))
    caplog.clear()
    check(line)
    assert not [record for record in caplog.records if "preflight" in record.name]


def test_nothing_is_written_before_the_check(tmp_path):
    line = write_data(tmp_path / "data", codes_by_part(ALL, [0], ALL))
    (tmp_path / "run").mkdir()
    with pytest.raises(UserError, match="validation set"):
        train.run(configure(*line, *QUICK, "trainer.max_epochs=1"), tmp_path / "run")
    assert not list((tmp_path / "run").iterdir())
