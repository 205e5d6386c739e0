from __future__ import annotations

import logging
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from lss_lightning.data.alkafri import AlKafri, find_slices
from lss_lightning.data.alkafri_layout import FINAL_FOLDER, IMAGES, INTERMEDIATE_FOLDER, LABELS
from lss_lightning.data.datamodule import SliceDataModule
from lss_lightning.data.loading import load_slice, load_slices
from lss_lightning.data.splits.fractions import PatientSplit
from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from tests.conftest import write_slice


def file_of(root, kind, name="0001_D3"):
    folder, prefix = LABELS if kind == "label" else IMAGES[kind]
    return root / folder / f"{prefix}_{name}.png"


def load_first(root, channels="composite"):
    return load_slice(find_slices(root, channels).slices[0], channels, LUMBAR)


def test_slices_are_paired_by_name(tree):
    listing = find_slices(tree, "t1_t2")
    assert len(listing.slices) == 30
    assert listing.left_out == Counter()
    assert [slice_.name for slice_ in listing.slices] == sorted(slice_.name for slice_ in listing.slices)
    for slice_ in listing.slices:
        assert set(slice_.images) == {"t1", "t2", "composite"}
        for path in (*slice_.images.values(), slice_.label):
            assert path.stem.endswith(f"_{slice_.patient}_{slice_.level}")


@pytest.mark.parametrize("channels", ["composite", "t1", "t2", "t1_t2"])
def test_channels_select_the_images_to_read(tree, channels):
    loaded = load_first(tree, channels)
    kinds = {"t1_t2": ("t1", "t2")}.get(channels, (channels,))
    expected = [np.array(Image.open(file_of(tree, kind))).reshape(64, 64, -1) for kind in kinds]
    np.testing.assert_array_equal(loaded.image, np.concatenate(expected, axis=2).transpose(2, 0, 1))
    assert np.unique(loaded.label).tolist() == [0, 1, 2, 3, 4, 5]
    assert loaded.spacing == 220 / 64


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        ("nowhere", "no such folder"),
        ("a file", "a file, not a folder"),
        ("empty", f"holds no {FINAL_FOLDER}/Label_Images"),
        ("images only", f"holds no {FINAL_FOLDER}/Label_Images"),
    ],
)
def test_root_without_data_is_refused(tmp_path, root, reason):
    (tmp_path / "a file").write_text("")
    (tmp_path / "empty").mkdir()
    (tmp_path / "images only" / IMAGES["composite"][0]).mkdir(parents=True)
    for read in (AlKafri(name="alkafri", root=str(tmp_path / root)).check, lambda: find_slices(tmp_path / root, "t2")):
        with pytest.raises(UserError) as error:
            read()
        assert str(error.value).startswith(f"data.root={tmp_path / root}: {reason}")


@pytest.mark.parametrize("inside", [".", "..", FINAL_FOLDER, f"{FINAL_FOLDER}/.", "../tree"])
def test_data_is_found_from_the_folders_around_it(tree, inside):
    assert len(find_slices(tree / inside, "composite").slices) == 30


def test_data_is_found_from_inside_its_folder(tree, monkeypatch):
    monkeypatch.chdir(tree / FINAL_FOLDER)
    assert len(AlKafri(name="alkafri", root=".").find().slices) == 30


def test_final_folder_without_labels_is_not_replaced_by_another(tree):
    write_slice(tree / "other", "0001", "D3")
    shutil.rmtree(tree / LABELS[0])
    with pytest.raises(UserError, match="holds no"):
        find_slices(tree / FINAL_FOLDER, "composite")


def test_home_is_expanded(tree, monkeypatch):
    monkeypatch.setenv("HOME", str(tree.parent))
    monkeypatch.setenv("USERPROFILE", str(tree.parent))
    source = AlKafri(name="alkafri", root="~/tree")
    source.check()
    assert len(source.find().slices) == 30


def test_incomplete_slices_are_left_out_counted_and_logged_once(tree, caplog):
    for name, other in (("0001_D3", "t1"), ("0002_D3", "t2")):
        file_of(tree, "composite", name).unlink()
        file_of(tree, other, name).unlink()
    file_of(tree, "composite", "0005_D3").unlink()
    file_of(tree, "label", "0003_D4").unlink()
    file_of(tree, "t1", "0004_D4").unlink()
    assert find_slices(tree, "composite").left_out == {"label without composite image": 2, "image without label": 1}
    assert len(find_slices(tree, "composite").slices) == 27
    file_of(tree, "t2", "0004_D4").unlink()
    listing = find_slices(tree, "t1_t2")
    assert listing.left_out == {
        "label without t1 image": 1,
        "label without t2 image": 1,
        "label without t1 and t2 image": 1,
        "image without label": 1,
    }
    assert len(listing.slices) == 26

    data = SliceDataModule(AlKafri(name="alkafri", root=str(tree)), PatientSplit())
    with caplog.at_level(logging.WARNING):
        data.setup("fit")
        data.setup("test")
    assert caplog.messages == ["left out: 2 × label without composite image", "left out: 1 × image without label"]


@pytest.mark.parametrize(
    ("removed", "reason"),
    [(("composite", "t1"), "30 × label without composite image"), (("label",), "30 × image without label")],
)
def test_no_usable_slice_is_an_error(tree, removed, reason):
    for kind in removed:
        for path in file_of(tree, kind).parent.iterdir():
            path.unlink()
    with pytest.raises(UserError) as error:
        find_slices(tree, "composite")
    for part in (f"data.root={tree}", "data.channels=composite", reason, "L1_0001_D3.png", "C1_0001_D3.png"):
        assert part in str(error.value)


def test_other_files_are_ignored(tree):
    labels, composites = file_of(tree, "label").parent, file_of(tree, "composite").parent
    for stray in (
        ".DS_Store",
        "Thumbs.db",
        "._L1_0001_D3.png",
        "L1_0001_D3 (1).png",
        "L1_0001_D3_old.png",
        "readme.txt",
    ):
        (labels / stray).write_bytes(b"\0\5\26\7")
    for stray in ("._C1_0001_D3.png", "C1_0099_D3.png.part", "desktop.ini"):
        (composites / stray).write_bytes(b"")
    listing = find_slices(tree, "composite")
    assert (len(listing.slices), listing.left_out) == (30, Counter())
    load_slices(listing.slices, "composite", LUMBAR)


def test_names_may_be_upper_case(tree):
    for kind, name in (("label", "L1_0001_D3.PNG"), ("composite", "c1_0001_d3.Png")):
        path = file_of(tree, kind)
        path.rename(path.with_name("moved")).rename(path.with_name(name))
    listing = find_slices(tree, "composite")
    assert (len(listing.slices), listing.left_out) == (30, Counter())
    assert listing.slices[0].name == "0001_D3"
    load_first(tree)


def test_names_that_differ_only_in_case_are_refused(tree):
    twin = file_of(tree, "label").with_name("L1_0001_D3.PNG")
    if twin.exists():
        pytest.skip("this file system ignores case")
    shutil.copy(file_of(tree, "label"), twin)
    with pytest.raises(UserError, match=r"L1_0001_D3\.png: the same slice as L1_0001_D3\.PNG; keep one"):
        find_slices(tree, "composite")


@pytest.mark.parametrize("kind", ["composite", "label"])
def test_images_and_labels_of_different_sizes_are_refused(tree, kind):
    path = file_of(tree, kind)
    Image.open(path).resize((60, 64), Image.Resampling.NEAREST).save(path)
    with pytest.raises(UserError) as error:
        load_first(tree)
    sizes = (
        {"composite": "60 × 64", "label": "64 × 64"}
        if kind == "composite"
        else {"composite": "64 × 64", "label": "60 × 64"}
    )
    composite, label = file_of(tree, "composite"), file_of(tree, "label")
    assert str(error.value).startswith(
        f"{composite}: {sizes['composite']} pixels, but its label {label} has {sizes['label']};"
    )


def test_unknown_label_codes_are_refused_with_their_counts(tree):
    path = file_of(tree, "label")
    codes = np.array(Image.open(path))
    codes[0, :3], codes[1, 0] = 51, 255
    Image.fromarray(codes).save(path)
    with pytest.raises(UserError) as error:
        load_first(tree)
    assert str(error.value).startswith(f"{path}: label codes 51 (3 px), 255 (1 px) belong to no class; allowed: 0, 50,")


@pytest.mark.parametrize(
    ("kind", "content", "reason"),
    [
        ("composite", lambda data: data[: len(data) // 2], "broken or truncated"),
        ("label", lambda data: data[: len(data) // 2], "broken or truncated"),
        ("label", lambda _: b"not an image", "not a PNG file"),
    ],
)
def test_broken_file_is_named(tree, kind, content, reason):
    path = file_of(tree, kind)
    path.write_bytes(content(path.read_bytes()))
    with pytest.raises(UserError, match=reason) as error:
        load_slices(find_slices(tree, "composite").slices, "composite", LUMBAR)
    assert str(error.value).startswith(f"{path}: ")


def test_images_that_are_not_square_have_square_pixels(tmp_path):
    write_slice(tmp_path, "0001", "D3", size=(310, 320))
    loaded = load_first(tmp_path)
    assert loaded.image.shape == (3, 310, 320)
    assert loaded.label.shape == (310, 320)
    assert loaded.spacing == 0.6875


@pytest.mark.parametrize(("channels", "count"), [("composite", 5), ("t1", 5), ("t1_t2", 5), ("t2", 9)])
def test_real_slices_are_read(sample, channels, count):
    listing = find_slices(sample, channels)
    slices = load_slices(listing.slices, channels, LUMBAR)
    assert len(slices) == count
    assert sum(listing.left_out.values()) == 9 - count
    assert {loaded.image.shape[2] for loaded in slices} <= {224, 256, 320}
    for loaded in slices:
        assert loaded.spacing == 220 / loaded.image.shape[2]
        assert set(LUMBAR.anatomical) <= set(np.unique(loaded.label))
    if channels == "t2":
        assert {loaded.image.shape[2] for loaded in slices} == {224, 256, 320}
    if channels == "composite":
        for loaded in slices:
            t1, t2 = (np.array(Image.open(str(loaded.slice.images[kind]))) for kind in ("t1", "t2"))
            np.testing.assert_array_equal(loaded.image[:2], (t1, t2))


def test_layout_is_the_published_one():
    assert LABELS == ("05_Final_Ground_Truth_Data/Label_Images", "L1")
    assert IMAGES["composite"] == ("05_Final_Ground_Truth_Data/Composite_Images", "C1")
    assert IMAGES["t2"] == (f"{INTERMEDIATE_FOLDER}/T2_Output", "T2")
