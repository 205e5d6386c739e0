from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from lss_lightning.data.slices import Slice
from lss_lightning.data.splits import PARTS, SplitProtocol, count_shared_patients, count_unassigned_slices, write_split
from lss_lightning.data.splits.file import FileSplit
from lss_lightning.data.splits.fractions import ImageSplit, PatientSplit, Resubstitution
from lss_lightning.data.splits.kfold import KFoldSplit
from lss_lightning.errors import UserError

EVERY = [
    PatientSplit(),
    PatientSplit(val_fraction=0.0, test_fraction=0.25),
    PatientSplit(val_fraction=0.3, test_fraction=0.15, seed=2),
    ImageSplit(val_fraction=0.1),
    ImageSplit(val_fraction=0.0),
    KFoldSplit(fold=4),
    KFoldSplit(fold=1, folds=3, val_fraction=0.0),
    KFoldSplit(fold=1, folds=2, val_fraction=0.4, seed=7),
    Resubstitution(),
]


def study(patients, levels=("D3", "D4", "D5")):
    return [Slice(f"{patient:04d}", level, {}, Path(), None) for patient in range(1, patients + 1) for level in levels]


def random_study(seed):
    """Return slices of 12 to 60 patients with gaps in their numbers and one to three levels each, in random order."""
    rng = np.random.default_rng(seed)
    numbers = rng.choice(1000, size=int(rng.integers(12, 61)), replace=False)
    slices = [
        Slice(f"{number:04d}", level, {}, Path(), None)
        for number in numbers
        for level in rng.permutation(["D3", "D4", "D5"])[: rng.integers(1, 4)]
    ]
    return [slices[index] for index in rng.permutation(len(slices))]


def sizes(split):
    return {part: len(split[part]) for part in PARTS}


def names(slices, split):
    return {part: {slices[index].name for index in split[part]} for part in PARTS}


def patients(slices, split):
    return {part: {slices[index].patient for index in split[part]} for part in PARTS}


@pytest.mark.parametrize(
    ("protocol", "count", "expected"),
    [
        (ImageSplit(val_fraction=0.0), 515, (1390, 0, 155)),
        (PatientSplit(), 515, (3 * 412, 3 * 51, 3 * 52)),
        (PatientSplit(), 10, (24, 3, 3)),
        (PatientSplit(val_fraction=0.2, test_fraction=0.2), 5, (9, 3, 3)),
        (PatientSplit(val_fraction=0.0, test_fraction=0.3), 10, (21, 0, 9)),
        (ImageSplit(val_fraction=0.1), 10, (24, 3, 3)),
        # The fractions of these are slightly too small in floating point.
        (PatientSplit(val_fraction=0.15, test_fraction=0.05), 10, (24, 3, 3)),
        (KFoldSplit(), 10, (3 * 7, 3 * 1, 3 * 2)),
        (KFoldSplit(folds=2, val_fraction=0.0), 5, (3 * 2, 0, 3 * 3)),
        (KFoldSplit(), 515, (3 * 370, 3 * 42, 3 * 103)),
        (Resubstitution(), 2, (6, 6, 6)),
    ],
)
def test_sizes(protocol, count, expected):
    assert tuple(sizes(protocol.divide(study(count))).values()) == expected


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("protocol", EVERY, ids=str)
def test_only_some_protocols_put_a_patient_into_several_parts(protocol, seed):
    slices = random_study(seed)
    split = protocol.divide(slices)
    assert set().union(*split.values()) == set(range(len(slices)))
    assert count_unassigned_slices(slices, split) == 0
    assert all(split[part] == sorted(split[part]) for part in PARTS)
    by_part = patients(slices, split)
    shared = {(part, other): by_part[part] & by_part[other] for part in PARTS for other in PARTS if part < other}
    for (part, other), crossing in shared.items():
        assert count_shared_patients(slices, split, part, other) == len(crossing)
        assert protocol.protocol in ("image", "resubstitution") or not crossing
    assert bool(shared["test", "train"]) == (protocol.protocol in ("image", "resubstitution"))
    assert (sum(sizes(split).values()) == len(slices)) == (protocol.protocol != "resubstitution")


@pytest.mark.parametrize("protocol", [PatientSplit, ImageSplit, KFoldSplit])
def test_split_depends_on_the_seed_and_not_on_the_order_of_files(protocol):
    slices = study(20)
    first = protocol(seed=3).divide(slices)
    assert protocol(seed=3).divide(slices) == first
    assert protocol(seed=4).divide(slices) != first
    shuffled = [slices[index] for index in np.random.default_rng(0).permutation(len(slices))]
    assert names(shuffled, protocol(seed=3).divide(shuffled)) == names(slices, first)


def test_the_split_of_a_seed_never_changes():
    # A published split must be reproducible with any later version of numpy and of this package.
    slices = study(20, ("D3",))
    assert PatientSplit(seed=0).divide(slices)["test"] == [1, 15]
    fold = KFoldSplit(fold=1, seed=0).divide(slices)
    assert (fold["test"], fold["val"]) == ([3, 12, 14, 19], [6, 11])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("folds", [2, 3, 5, 12])
def test_each_patient_is_tested_by_exactly_one_fold(folds, seed):
    slices = random_study(seed)
    splits = [KFoldSplit(fold, folds, seed=seed).divide(slices) for fold in range(folds)]
    tested = [patients(slices, split)["test"] for split in splits]
    assert sorted(patient for part in tested for patient in part) == sorted({slice_.patient for slice_ in slices})
    counts = [len(part) for part in tested]
    assert max(counts) - min(counts) <= 1
    validated = {frozenset(patients(slices, split)["val"]) for split in splits}
    assert len(validated) == folds  # each fold selects on different patients
    without_val = [KFoldSplit(fold, folds, val_fraction=0.0, seed=seed).divide(slices) for fold in range(folds)]
    assert [split["test"] for split in without_val] == [split["test"] for split in splits]


@pytest.mark.parametrize(
    ("protocol", "count", "parts"),
    [
        (PatientSplit(), 5, ["split=patient: 5 patients", "the val part", "split.val_fraction=0.1", "resubstitution"]),
        (PatientSplit(val_fraction=0.0), 1, ["split=patient: 1 patients", "the train part"]),
        (ImageSplit(val_fraction=0.1), 1, ["split=image: 3 slices", "the val part"]),
        (PatientSplit(), 0, ["split=patient: 0 patients", "the train part"]),
        (KFoldSplit(), 4, ["split.folds=5: the data has 4 patients", "lower split.folds"]),
        (KFoldSplit(folds=2), 2, ["split=kfold: the 1 patients outside", "the train part", "split.val_fraction=0.1"]),
    ],
)
def test_too_few_patients_or_slices_are_refused(protocol, count, parts):
    with pytest.raises(UserError) as error:
        protocol.divide(study(count))
    assert str(error.value).startswith(parts[0])
    assert [part for part in parts if part not in str(error.value)] == []


@pytest.mark.parametrize(
    ("protocol", "part", "warning"),
    [
        (PatientSplit(), "val", ""),
        (ImageSplit(val_fraction=0.0), None, ""),
        (ImageSplit(val_fraction=0.0, select_on_test=True), "test", "Selected on test."),
        (KFoldSplit(), "val", ""),
        (KFoldSplit(val_fraction=0.0), None, ""),
        (Resubstitution(), "val", "Trained, selected and tested on the same slices"),
    ],
)
def test_selection_part_and_warning(protocol, part, warning):
    assert protocol.selection_part == part
    assert protocol.warning.startswith(warning)
    assert bool(protocol.warning) == bool(warning)


def test_protocols_have_descriptions():
    protocols = (PatientSplit(), ImageSplit(), KFoldSplit(2, 3), Resubstitution())
    assert [protocol.description for protocol in protocols] == [
        "split by patient",
        "split by image",
        "split by patient, fold 2 of 0 to 2",
        "resubstitution",
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: PatientSplit(val_fraction=0.5, test_fraction=0.5),
            "split.val_fraction=0.5 and split.test_fraction=0.5: their sum",
        ),
        (
            lambda: ImageSplit(val_fraction=0.1, select_on_test=True),
            "split.select_on_test=true with split.val_fraction=0.1",
        ),
        (lambda: KFoldSplit(fold=5), "split.fold=5: the split.folds=5 folds are numbered 0 to 4"),
    ],
)
def test_contradicting_settings_are_refused(make, message):
    with pytest.raises(UserError) as error:
        make()
    assert str(error.value).startswith(message)


def test_split_is_written_as_a_table(tmp_path):
    slices = study(10)
    split = PatientSplit().divide(slices)
    write_split(tmp_path / "split.csv", slices, split)
    with (tmp_path / "split.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == ["patient", "level", "part"]
    assert len(rows) == 30
    written = {part: {f"{row['patient']}_{row['level']}" for row in rows if row["part"] == part} for part in PARTS}
    assert written == names(slices, split)
    write_split(tmp_path / "split.csv", slices, Resubstitution().divide(slices))
    assert len((tmp_path / "split.csv").read_text().splitlines()) == 1 + 90


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("protocol", EVERY, ids=str)
def test_a_written_split_is_read_back(protocol: SplitProtocol, seed, tmp_path):
    slices = random_study(seed)
    split = protocol.divide(slices)
    path = tmp_path / "split.csv"
    write_split(path, slices, split)
    read = FileSplit(str(path))
    assert read.divide(slices) == split
    assert (read.warning, read.selection_part) == (protocol.warning, protocol.selection_part)
    assert read.is_resubstitution == (protocol.protocol == "resubstitution")


@pytest.fixture
def table(tmp_path, monkeypatch):
    """Return a function that writes ``a.csv`` into the working directory."""
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes) -> str:
        (tmp_path / "a.csv").write_bytes(text.encode() if isinstance(text, str) else text)
        return "a.csv"

    return write


PLAIN = "patient,part\n0001,train\n0002,val\n0003,test\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "patient,part\r\n0001,train\r\n0002,val\r\n0003,test\r\n",
        "\ufeff" + PLAIN,
        "part,patient\n test , 0003\ntrain,0001\n\n,\nval,0002",
        '"patient","part"\n"0001","train"\n0001,train\n0002,val\n0003,test\n0003,test\n',
    ],
    ids=["plain", "windows", "byte order mark", "other order, spaces, blank lines", "quoted, repeated"],
)
def test_patients_from_a_file(text, table):
    slices = study(3)
    split = FileSplit(table(text))
    assert split.divide(slices) == {"train": [0, 1, 2], "val": [3, 4, 5], "test": [6, 7, 8]}
    assert (split.selection_part, split.warning, split.description) == ("val", "", "split as in a.csv")


def test_images_from_a_file_may_divide_a_patient(table):
    slices = study(2)
    split = FileSplit(table("image,part\n0001_D3,train\n0001_D4,test\n0002_D5,train\n")).divide(slices)
    assert split == {"train": [0, 5], "val": [], "test": [1]}
    assert count_shared_patients(slices, split) == 1
    assert count_unassigned_slices(slices, split) == 3


def test_without_validation_rows_select_on_test_selects(table):
    path = table("patient,part\n0001,train\n0003,test\n")
    assert FileSplit(path).selection_part is None
    split = FileSplit(path, select_on_test=True)
    assert (split.selection_part, split.warning) == ("test", "Selected on test.")


def test_stored_content_replaces_the_file(table):
    content = FileSplit(table(PLAIN)).content
    assert FileSplit("long/gone.csv", content=content).divide(study(3)) == FileSplit("a.csv").divide(study(3))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty; its first line must name the columns patient,part or patient,level,part or image,part"),
        (" \n,\n", "empty; its first line"),
        ("0001,train\n0002,test\n", "its first line names the columns 0001,train; allowed: patient,part or"),
        ("patient;part\n0001;train\n", "its first line names the columns patient;part; allowed:"),
        ("patient,image,part\n", "its first line names the columns patient,image,part; allowed:"),
        ("patient,part,part\n", "its first line names the columns patient,part,part; allowed:"),
        (b"\x89PNG\r\n", "not text in UTF-8"),
        ("patient,part\n0001,train\n0002,trian\n", "line 3: unknown part 'trian'; did you mean 'train'?; allowed:"),
        ("patient,part\n0001,\n", "line 2: unknown part ''; allowed: train, val, test"),
        (f"patient,part\n{'1' * 200_000},train\n", "line 2: not CSV (field larger than field limit"),
        ("patient,part\n0001\n", "line 2: 1 cells under 2 columns"),
        ("patient,part\n\n,train\n", "line 3: no patient"),
        (PLAIN + "0003,train\n", "0003 is in test (line 4) and in train (line 5); give it one part, or give all of"),
        ("patient,level,part\n1,D3,train\n1,D3,test\n", "1 D3 is in train (line 2) and in test (line 3)"),
        ("image,part\n0001_D3,val\n0001_D3,test\n", "0001_D3 is in val (line 2) and in test (line 3)"),
        ("patient,part\n0001,train\n0002,val\n", "no test rows; a split needs both train and test"),
        ("patient,part\n0001,test\n", "no train rows; a split needs both train and test"),
        ("patient,part\n", "no train rows"),
        ("patient,part\n0001,tr\x00ain\n", "line 2: unknown part 'tr\\x00ain'"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_a_malformed_file_is_refused(text, message, table):
    path = table(text)
    with pytest.raises(UserError) as error:
        FileSplit(path)
    assert str(error.value).startswith(f"split.file=a.csv: {message}")
    assert "\n" not in str(error.value)


def test_a_missing_file_is_refused(tmp_path):
    for path, problem in ((tmp_path / "no.csv", "no such file"), (tmp_path, "a folder")):
        with pytest.raises(UserError) as error:
            FileSplit(str(path))
        assert str(error.value).startswith(f"split.file={path}: {problem}; give a CSV with columns patient,part")


def test_an_unreadable_file_is_refused(table, monkeypatch):
    path = table(PLAIN)

    def fail(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(UserError, match=r"split.file=a.csv: cannot be read \(Permission denied\)"):
        FileSplit(path)


def test_select_on_test_with_validation_rows_is_refused(table):
    with pytest.raises(
        UserError, match=r"split.file=a.csv: has val rows, which select the checkpoint, but split.select_on_test=true"
    ):
        FileSplit(table(PLAIN), select_on_test=True)


def test_patients_and_slices_not_in_the_data_are_named(table):
    rows = "".join(f"{patient},train\n" for patient in range(4, 11))
    with pytest.raises(UserError) as error:
        FileSplit(table(PLAIN + rows)).divide(study(6))
    assert str(error.value) == (
        "split.file=a.csv: 7 of its 10 patients are not in the data: 10, 4, 5, 6, 7, …; the data has 0001, 0002, "
        "0003, 0004, 0005, …; correct the names, or remove the rows"
    )
    with pytest.raises(UserError, match="1 of its 2 slices are not in the data: 0001 D2; the data has 0001 D3, 0001"):
        FileSplit(table("patient,level,part\n0001,D2,train\n0001,D3,test\n")).divide(study(1))
    with pytest.raises(UserError, match="not in the data: a, b; the data has 0001, 0002; correct"):
        FileSplit(table("patient,level,part\na,,train\nb,,test\n")).divide(study(2, levels=("",)))
