from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.alkafri_layout import IMAGES, LABELS
from lss_lightning.data.inventory import count_inner_pixels, examine_slices, take_inventory
from lss_lightning.data.splits.fractions import ImageSplit, PatientSplit, Resubstitution
from lss_lightning.labels import LUMBAR, Label, LabelSet
from tests.conftest import write_slice


def inventory_of(root, channels="composite", split=None, labels=LUMBAR):
    listing = find_slices(root, channels)
    parts = None if split is None else split.divide(listing.slices)
    inventory = take_inventory(listing, examine_slices([*listing.slices, *listing.incomplete], labels), labels, parts)
    assert json.loads(json.dumps(inventory, allow_nan=False))["slices"] == len(listing.slices)
    return inventory


def file_of(root, kind, name):
    folder, prefix = LABELS if kind == "label" else IMAGES[kind]
    return root / folder / f"{prefix}_{name}.png"


def edit(path, change):
    pixels = np.array(Image.open(path))
    change(pixels)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def clean(tree):
    """Return the tree with one different pixel in each label, since equal labels would be duplicates."""
    for number, path in enumerate(sorted((tree / LABELS[0]).iterdir())):
        edit(path, lambda pixels, number=number: pixels[60].__setitem__(number, 200))
    return tree


def test_data_without_problems(clean):
    inventory = inventory_of(clean, split=PatientSplit())
    assert (inventory["labels"], inventory["slices"], inventory["patients"]) == (30, 30, 10)
    assert inventory["levels"] == {"D3": 10, "D4": 10, "D5": 10}
    assert inventory["sizes"] == [{"width": 64, "height": 64, "spacing_mm": 220 / 64, "slices": 30}]
    assert inventory["labels_counted"] == 30
    assert inventory["split"] == {"train": 24, "val": 3, "test": 3, "in_no_part": 0, "patients_in_train_and_test": 0}
    for finding in ("left_out", "incomplete_slices", "unknown_codes", "broken", "duplicates", "incomplete_patients"):
        assert not inventory[finding]
    assert not inventory["unregistered_inside"]


def test_class_shares_are_means_over_labels_of_different_sizes(tmp_path):
    write_slice(tmp_path, "0001", "D3", size=(60, 60))
    write_slice(tmp_path, "0002", "D3", size=(31, 32))
    edit(file_of(tmp_path, "label", "0001_D3"), lambda pixels: pixels.fill(250))
    edit(file_of(tmp_path, "label", "0002_D3"), lambda pixels: (pixels.fill(250), pixels[:, :8].fill(50)))
    inventory = inventory_of(tmp_path)
    assert inventory["classes"]["intervertebral_disc"] == {"mean_share": 0.125, "labels": 1}
    assert inventory["classes"]["other"] == {"mean_share": 0.875, "labels": 2}
    assert inventory["classes"]["thecal_sac"] == {"mean_share": 0, "labels": 0}
    assert inventory["sizes"] == [
        {"width": 60, "height": 60, "spacing_mm": 220 / 60, "slices": 1},
        {"width": 32, "height": 31, "spacing_mm": 220 / 32, "slices": 1},
    ]


def test_unknown_codes_are_named_and_left_out_of_the_shares(clean):
    before = inventory_of(clean)["classes"]
    edit(
        file_of(clean, "label", "0003_D4"), lambda pixels: (pixels.fill(250), pixels[5, :3].fill(51), pixels[0].fill(7))
    )
    inventory = inventory_of(clean)
    file = str(file_of(clean, "label", "0003_D4"))
    assert inventory["unknown_codes"] == [{"slice": "0003_D4", "file": file, "pixels_by_code": {7: 64, 51: 3}}]
    assert inventory["labels_counted"] == 29
    assert inventory["classes"]["other"]["labels"] == 29
    assert inventory["classes"]["other"]["mean_share"] == pytest.approx(before["other"]["mean_share"], abs=1e-3)
    assert inventory["broken"] == []


def test_broken_files_are_named_for_all_channels(clean):
    for kind in ("label", "t1"):
        path = file_of(clean, kind, "0003_D4")
        path.write_bytes(path.read_bytes()[:100])
    file_of(clean, "composite", "0005_D3").write_bytes(b"")
    Image.new("L", (60, 64)).save(file_of(clean, "t2", "0006_D3"))
    inventory = inventory_of(clean)
    broken = {(entry["slice"], entry["file"]): entry["problem"] for entry in inventory["broken"]}
    assert len(broken) == 4
    for name, kind, problem in (
        ("0003_D4", "label", "broken or truncated"),
        ("0003_D4", "t1", "broken or truncated"),
        ("0005_D3", "composite", "not a PNG file"),
        ("0006_D3", "t2", "60 × 64 pixels, but its label has 64 × 64"),
    ):
        file = str(file_of(clean, kind, name))
        assert broken[name, file].startswith(problem)
    assert inventory["labels_counted"] == 29
    assert inventory["sizes"][0]["slices"] == 29


def test_no_usable_label_gives_no_share(tmp_path):
    write_slice(tmp_path, "0001", "D3")
    edit(file_of(tmp_path, "label", "0001_D3"), lambda pixels: pixels.fill(1))
    inventory = inventory_of(tmp_path)
    assert inventory["labels_counted"] == 0
    assert inventory["classes"]["other"] == {"mean_share": None, "labels": 0}


def test_incomplete_slices_are_named_and_their_labels_counted(clean):
    file_of(clean, "composite", "0002_D3").unlink()
    file_of(clean, "t1", "0002_D3").unlink()
    file_of(clean, "composite", "0002_D4").unlink()
    file_of(clean, "label", "0003_D3").unlink()
    inventory = inventory_of(clean)
    assert inventory["left_out"] == {"image without label": 1, "label without composite image": 1}
    assert inventory["incomplete_slices"] == {"0002_D3": ["t2"]}
    assert inventory["images"] == {"composite": 27, "t1": 28, "t2": 29}
    assert (inventory["labels"], inventory["slices"], inventory["labels_counted"]) == (29, 28, 29)
    assert inventory["incomplete_patients"] == {"0003": ["D4", "D5"]}


def copy(root, kind, source, *targets):
    for target in targets:
        shutil.copy(file_of(root, kind, source), file_of(root, kind, target))


def test_duplicates_are_found_by_content_and_compared_with_the_split(clean):
    slices = find_slices(clean, "composite").slices
    parts = PatientSplit().divide(slices)
    train = [slices[index].name for index in parts["train"]]
    test = [slices[index].name for index in parts["test"]]
    for kind in ("composite", "label"):
        copy(clean, kind, train[0], train[5], test[0])
    copy(clean, "t1", train[1], train[2])
    # Saved again: different bytes, the same pixels.
    path = file_of(clean, "t1", train[2])
    Image.open(path).save(path, compress_level=0)
    across = {"slices": sorted([train[0], train[5], test[0]]), "kinds": ["composite", "label"], "crosses_split": True}
    within = {"slices": [train[1], train[2]], "kinds": ["t1"], "crosses_split": False}
    duplicates = inventory_of(clean, split=PatientSplit())["duplicates"]
    assert sorted(duplicates, key=lambda group: group["kinds"]) == [across, within]
    assert {group["crosses_split"] for group in inventory_of(clean)["duplicates"]} == {None}
    everywhere = Resubstitution()
    assert {group["crosses_split"] for group in inventory_of(clean, split=everywhere)["duplicates"]} == {False}


def test_duplicate_of_an_incomplete_slice_does_not_cross_the_split(clean):
    copy(clean, "label", "0001_D3", "0002_D3")
    for kind in ("composite", "t1"):
        file_of(clean, kind, "0002_D3").unlink()
    (group,) = inventory_of(clean, split=PatientSplit())["duplicates"]
    assert group == {"slices": ["0001_D3", "0002_D3"], "kinds": ["label"], "crosses_split": False}


def test_patients_in_two_parts_are_counted(clean):
    split = ImageSplit(val_fraction=0)
    slices = find_slices(clean, "composite").slices
    parts = split.divide(slices)
    patients = [{slices[index].patient for index in parts[part]} for part in ("train", "test")]
    shared = inventory_of(clean, split=split)["split"]["patients_in_train_and_test"]
    assert shared == len(patients[0] & patients[1]) > 0


def test_unregistered_pixels_not_joined_to_the_border_are_counted(clean):
    edit(file_of(clean, "label", "0004_D5"), lambda pixels: pixels[30:32, 40:43].fill(0))
    assert inventory_of(clean)["unregistered_inside"] == [{"slice": "0004_D5", "pixels": 6}]


def test_other_label_sets_have_no_unregistered_pixels(clean):
    renamed = [
        Label(f"Class {i}", f"class_{i}", str(i), label.code, label.colour, True) for i, label in enumerate(LUMBAR)
    ]
    edit(file_of(clean, "label", "0004_D5"), lambda pixels: pixels[30:32, 40:43].fill(0))
    inventory = inventory_of(clean, labels=LabelSet(tuple(renamed)))
    assert inventory["unregistered_inside"] == []
    assert inventory["classes"].keys() == {f"class_{i}" for i in range(6)}


@pytest.mark.parametrize(
    ("rows", "inside"),
    [
        (("....", "....", "...."), 0),
        (("####", "#..#", "####"), 0),
        ((".....", ".###.", ".....", "....."), 3),
        # Pixels are joined by their sides, not by their corners.
        ((".....", ".###.", "...#.", "...#."), 0),
        (("#....", ".#...", "..#..", "....."), 2),
        # A winding path takes many steps.
        (("......", ".####.", ".#....", ".####.", "....#.", ".####.", ".#....", ".#...."), 0),
        (("....##", ".##..#", ".##...", "......"), 4),
    ],
)
def test_inner_pixels_are_not_joined_to_the_border(rows, inside):
    mask = np.array([[character == "#" for character in row] for row in rows])
    for turned in (mask, mask.T, mask[::-1], mask[:, ::-1]):
        assert count_inner_pixels(turned) == inside


def test_real_slices(sample):
    """Compare with numbers counted by hand in the nine files."""
    inventory = inventory_of(sample)
    assert (inventory["labels"], inventory["slices"], inventory["patients"]) == (9, 5, 9)
    assert inventory["levels"] == {"D4": 9}
    assert inventory["images"] == {"composite": 5, "t1": 5, "t2": 9}
    assert {(size["width"], size["height"]): size["slices"] for size in inventory["sizes"]} == {
        (256, 256): 4,
        (320, 320): 3,
        (224, 224): 2,
    }
    assert inventory["left_out"] == {"label without composite image": 4}
    assert inventory["incomplete_slices"] == {f"910{number}_D4": ["t2"] for number in range(1, 5)}
    labels = {key: entry["labels"] for key, entry in inventory["classes"].items()}
    assert labels == {key: 3 if key == "unregistered" else 9 for key in LUMBAR.keys}
    shares = [round(100 * entry["mean_share"], 2) for entry in inventory["classes"].values()]
    assert shares == [0.48, 3.92, 1.74, 0.30, 0.54, 93.01]
    for finding in ("unknown_codes", "broken", "duplicates", "unregistered_inside"):
        assert inventory[finding] == []
    assert len(inventory["incomplete_patients"]) == 9
