"""The phantom: the same request gives the same bytes, the anatomy is all there, and nothing is overwritten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shapely import MultiPolygon, Polygon, box, contains_xy, unary_union

from lss_lightning.errors import UserError
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import RenderedSlice, layout, render_slice, write_phantom
from lss_lightning.phantom.canvas import FIELD_OF_VIEW, Canvas
from lss_lightning.phantom.patient import LEVELS, RandomStream, StenosisSite, generator, sample_subject
from lss_lightning.phantom.regions import class_regions
from lss_lightning.phantom.scanner import Motion
from lss_lightning.phantom.severity import NARROWED
from lss_lightning.phantom.shapes import Blob, Bump, Capsule, Harmonic, gap
from lss_lightning.phantom.source import Phantom
from lss_lightning.phantom.spine import sample_spine
from lss_lightning.phantom.tissue import T1_WEIGHTED, T2_WEIGHTED, Tissue, signal_table
from lss_lightning.phantom.version import VERSION
from tests.conftest import configure

SIZE = 64
UNREGISTERED, DISC, POSTERIOR, SAC, AAP, OTHER = range(6)
FOLDERS = {
    "t1": ("04_Intermediary_Ground_Truth_Data/T1_Output", "T1"),
    "t2": ("04_Intermediary_Ground_Truth_Data/T2_Output", "T2"),
    "composite": ("05_Final_Ground_Truth_Data/Composite_Images", "C1"),
    "label": ("05_Final_Ground_Truth_Data/Label_Images", "L1"),
}


@pytest.fixture(scope="module")
def slices() -> list[RenderedSlice]:
    return [render_slice(0, patient, level, 96) for patient in range(1, 13) for level in LEVELS]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "set"
    write_phantom(root, patients=2, image_size=SIZE, seed=5, workers=2)
    return root


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def read(root: Path, kind: str, name: str) -> np.ndarray:
    folder, prefix = FOLDERS[kind]
    return np.asarray(Image.open(root / folder / f"{prefix}_{name}.png"))


def test_layout_and_pixel_formats(written: Path) -> None:
    names = [f"{patient:04d}_{level}" for patient in (1, 2) for level in LEVELS]
    expected = {f"{folder}/{prefix}_{name}.png" for folder, prefix in FOLDERS.values() for name in names}
    assert set(contents(written)) == expected | {"phantom.json", "truth.csv"}
    assert json.loads((written / "phantom.json").read_text()) == {
        "version": VERSION,
        "patients": 2,
        "image_size": SIZE,
        "seed": 5,
        "randomise": 0.0,
        "severities": [0.0, 1.0],
    }
    for kind, mode in (("t1", "L"), ("t2", "L"), ("composite", "RGB"), ("label", "L")):
        folder, prefix = FOLDERS[kind]
        with Image.open(written / folder / f"{prefix}_0001_D3.png") as image:
            assert (image.mode, image.size, image.format) == (mode, (SIZE, SIZE), "PNG")
    assert [path.name for path in written.parent.iterdir()] == ["set"]


def test_a_slice_alone_equals_the_slice_in_the_set(written: Path) -> None:
    alone = render_slice(5, 2, "D4", SIZE)
    np.testing.assert_array_equal(read(written, "t1", "0002_D4"), alone.t1)
    np.testing.assert_array_equal(read(written, "t2", "0002_D4"), alone.t2)
    np.testing.assert_array_equal(read(written, "label", "0002_D4"), LUMBAR.to_codes(alone.label))


def test_composite_is_t1_t2_and_what_t1_has_more(written: Path) -> None:
    t1, t2 = (read(written, kind, "0001_D5").astype(int) for kind in ("t1", "t2"))
    composite = read(written, "composite", "0001_D5")
    np.testing.assert_array_equal(composite, np.stack((t1, t2, np.maximum(t1 - t2, 0)), axis=-1))
    assert (t1 > t2).any()
    assert (t1 < t2).any()


def test_bytes_depend_on_the_seed_and_not_on_the_workers(written: Path, tmp_path: Path) -> None:
    write_phantom(tmp_path / "one", patients=2, image_size=SIZE, seed=5, workers=1)
    assert contents(tmp_path / "one") == contents(written)
    for other in (render_slice(6, 1, "D3", SIZE), render_slice(5, 3, "D3", SIZE), render_slice(5, 1, "D4", SIZE)):
        assert (other.t1 != render_slice(5, 1, "D3", SIZE).t1).mean() > 0.3


def test_anatomy_does_not_depend_on_the_image_size() -> None:
    fine, coarse = render_slice(1, 4, "D4", 192), render_slice(1, 4, "D4", 96)
    for index in (DISC, POSTERIOR, SAC, AAP):
        assert (fine.label == index).mean() == pytest.approx((coarse.label == index).mean(), rel=0.12)


def test_every_class_occurs_in_about_its_share_of_the_real_data(slices: list[RenderedSlice]) -> None:
    counts = np.stack([np.bincount(rendered.label.ravel(), minlength=6) for rendered in slices])
    assert counts.shape[1] == 6
    present = (counts > 0).sum(axis=0)
    assert (present[DISC:] == len(slices)).all()
    assert 2 <= present[UNREGISTERED] <= len(slices) // 2
    # Mean shares of the real data in percent: 0.24, 3.54, 1.57, 0.32, 0.55, 93.8.
    bounds = [(0.03, 0.8), (2.8, 4.0), (1.3, 2.0), (0.22, 0.42), (0.4, 0.85), (92.5, 95)]
    for share, (low, high) in zip(100 * counts.sum(axis=0) / counts.sum(), bounds, strict=True):
        assert low < share < high


def test_sac_lies_between_disc_and_posterior_element(slices: list[RenderedSlice]) -> None:
    for rendered in slices:
        rows = [np.nonzero(rendered.label == index)[0].mean() for index in (DISC, SAC, POSTERIOR)]
        assert rows == sorted(rows)


def test_fluid_is_bright_on_t2_and_fat_on_both(slices: list[RenderedSlice]) -> None:
    for rendered in slices:
        t1, t2 = rendered.t1.astype(float), rendered.t2.astype(float)
        disc, sac, fat = (rendered.label == index for index in (DISC, SAC, AAP))
        assert np.median(t2[sac]) > np.median(t2[disc])
        assert np.median(t1[fat]) > 1.2 * np.median(t1[disc])
        assert np.median(t2[sac]) / np.median(t2[fat]) > np.median(t1[sac]) / np.median(t1[fat])


def test_body_lies_in_air_and_fades_to_the_front(slices: list[RenderedSlice]) -> None:
    # A row per slice: the mean of the front eighth, of the disc's rows and of the back.
    front = np.array([rendered.t1[:12].mean() for rendered in slices])
    middle = np.array([rendered.t1[44:72].mean() for rendered in slices])
    assert np.median(front / middle) < 0.3
    assert all(rendered.t1.max() == 255 and rendered.t1.min() == 0 for rendered in slices)


def test_unregistered_is_a_black_strip_at_the_border(slices: list[RenderedSlice]) -> None:
    moved = [rendered for rendered in slices if (rendered.label == UNREGISTERED).any()]
    assert moved
    for rendered in moved:
        strip = rendered.label == UNREGISTERED
        assert rendered.t2[strip].max() == 0
        assert rendered.t1[strip].max() > 0
        # 6 mm and 2° over half the field of view: 10 mm, 5 pixels of 96.
        assert not strip[5:-5, 5:-5].any()


def test_motion_uncovers_what_the_shifted_field_of_view_leaves() -> None:
    assert Motion(0, 0, 0).covers(110).all()
    covered = Motion(dx=4.0, dy=-2.0, turn=0).covers(110)
    assert not covered[:, :2].any()
    assert not covered[-1:].any()
    assert covered[:-1, 2:].all()
    assert 0.005 < 1 - Motion(0, 0, np.radians(2)).covers(110).mean() < 0.03


def test_signals_are_those_of_the_published_table() -> None:
    t1, t2 = signal_table(T1_WEIGHTED, hydration=1.0), signal_table(T2_WEIGHTED, hydration=1.0)
    table = {
        Tissue.FAT: (1.0, 1.0),
        Tissue.CSF: (0.17, 1.12),
        Tissue.ROOT: (0.34, 0.40),
        Tissue.NUCLEUS: (0.35, 0.52),
        Tissue.MARROW: (0.68, 0.62),
        Tissue.CORTEX: (0.0, 0.0),
    }
    for tissue, expected in table.items():
        assert (t1[tissue], t2[tissue]) == pytest.approx(expected, abs=0.02)
    assert signal_table(T2_WEIGHTED, hydration=0.0)[Tissue.NUCLEUS] == pytest.approx(0.14, abs=0.02)
    assert 0.08 < t2[Tissue.MUSCLE] < 0.15


def test_severity_narrows_the_canal() -> None:
    cases = []
    for patient in range(1, 61):
        for level in LEVELS:
            subject = sample_subject(2, patient, level)
            spine = sample_spine(subject, generator(2, patient, level, RandomStream.ANATOMY))
            regions = class_regions(spine)
            halves = [regions.posterior.intersection(box(left, -99, left + 99, 99)) for left in (-99, 0)]
            gaps = [regions.disc.distance(half) for half in halves]
            bulge = spine.disc.outline[:, 1].max()
            flavum = np.mean([side.flavum for side in spine.sides])
            process = np.mean([side.superior.area for side in spine.sides]) / subject.size**2
            cases.append((subject.severity, regions.sac.area, np.mean(gaps), bulge, flavum, process))
            assert regions.sac.distance(regions.disc) < 2.4
            assert gaps == pytest.approx([side.gap for side in spine.sides], abs=0.3)
            assert abs(np.degrees(subject.turn)) <= 5
    severity, area, gaps, bulge, flavum, process = np.array(cases).T
    # The best line through each measure against severity: its ends at severity 0 and 1.
    for measure, start, end, tolerance in (
        (area, 190, 45, 8),
        (gaps, 7.0, 1.5, 0.5),
        (bulge, -0.5, 5.2, 0.8),
        (flavum, 3, 6, 0.2),
        (process, 98, 129, 2),
    ):
        slope, origin = np.polyfit(severity, measure, 1)
        assert (origin, origin + slope) == pytest.approx((start, end), abs=tolerance)
        assert abs(np.corrcoef(severity, measure)[0, 1]) > 0.9
    assert ((np.abs(area - 75) < 15) | (np.abs(area - 100) < 15)).mean() > 0.2


def test_severities_keep_to_the_range_asked_for() -> None:
    for patient in range(1, 30):
        full, part = (sample_subject(2, patient, "D4", bounds) for bounds in ((0.0, 1.0), (0.5, 0.75)))
        assert part.severity == pytest.approx(0.5 + 0.25 * full.severity)
        assert part.size == full.size
    with pytest.raises(UserError, match=r"impossible anatomy: phantom severity is 1.2:"):
        replace(full, severity=1.2)


def test_a_narrowed_side_is_the_patients_own() -> None:
    gaps: dict[StenosisSite, list[float]] = {site: [] for site in StenosisSite}
    for patient in range(1, 81):
        subject = sample_subject(2, patient, "D4")
        spine = sample_spine(subject, generator(2, patient, "D4", RandomStream.ANATOMY))
        image_left, image_right = (gap(side.superior, spine.disc) for side in spine.sides)
        gaps[subject.site].append(image_left - image_right)
        assert (subject.site is StenosisSite.NONE) == (subject.severity < NARROWED)
    # Radiological: the image's right is the patient's left.
    assert np.mean(gaps[StenosisSite.LEFT]) > 0.8
    assert np.mean(gaps[StenosisSite.RIGHT]) < -0.8
    assert abs(np.mean(gaps[StenosisSite.CENTRAL])) < 0.4
    assert min(map(len, gaps.values())) > 5


def test_a_sac_larger_than_its_canal_is_refused() -> None:
    spine = sample_spine(sample_subject(2, 1, "D4"), generator(2, 1, "D4", RandomStream.ANATOMY))
    with pytest.raises(UserError, match=r"impossible anatomy: a thecal sac of .* larger than the canal"):
        class_regions(replace(spine, sac=spine.sac.with_area(1.5 * spine.sac.area)))


def test_regions_are_disjoint_and_touch_as_the_labellers_drew_them() -> None:
    for level in LEVELS:
        spine = sample_spine(sample_subject(2, 3, level), generator(2, 3, level, RandomStream.ANATOMY))
        regions = class_regions(spine)
        shapes = [region for _, region in regions.items()]
        assert unary_union(shapes).area == pytest.approx(sum(shape.area for shape in shapes), abs=1e-6)
        assert regions.sac.distance(regions.posterior) < 1.6
        # Fat lies behind the sac, and reaches out to both sides of the disc's hind corners.
        left, _, right, back = regions.aap.bounds
        assert back > regions.sac.bounds[3]
        assert min(-left, right) > 0.7 * spine.disc.a


def test_a_canvas_finds_the_samples_within_a_region() -> None:
    canvas = Canvas(96, shift=(3.0, 5.0), turn=0.1)
    ring = Polygon(Blob((0.0, 0.0), 21.3, 17.1).outline, [Blob((1.0, 2.0), 5.2, 6.1).outline])
    region = MultiPolygon([ring, Polygon(Blob((60.0, -9.0), 8.0, 12.0).outline)])
    for window in (canvas.over(region), canvas.over(ring), canvas.window((10.0, 10.0), 12.0)):
        expected = contains_xy(region, canvas.x[window].astype(float), canvas.y[window].astype(float))
        assert 0.1 < expected.mean() < 0.9
        np.testing.assert_array_equal(canvas.inside(region, window), expected)


def test_an_interpolated_distance_is_that_of_the_shape() -> None:
    canvas, shape = Canvas(96, shift=(3.0, 5.0), turn=0.1), Blob((0.0, -20.0), 150.0, 90.0)
    exact = shape.distance(canvas.x, canvas.y)
    near = np.abs(exact) < 20
    np.testing.assert_allclose(canvas.smooth_distance(shape)[near], exact[near], atol=0.06)


def test_blob_distance_outline_and_area_agree() -> None:
    plain = Blob((3.0, -2.0), 10.0, 6.0, turn=0.4)
    assert plain.area == pytest.approx(np.pi * 60)
    lively = Blob((3.0, -2.0), 10.0, 6.0, 0.4, 2.4, (Harmonic(3, 0.1, 1.0),), (Bump(1.5, 0.2, 0.3),)).with_area(150.0)
    outline = lively.outline
    np.testing.assert_allclose(lively.distance(outline[:, 0], outline[:, 1]), 0, atol=0.02)
    axis = np.arange(-25, 25, 0.05)
    x, y = np.meshgrid(axis + 3, axis - 2)
    assert (lively.distance(x, y) < 0).sum() * 0.05**2 == pytest.approx(150.0, rel=2e-3)
    assert np.hypot(*(outline - lively.centre).T).max() <= lively.reach


def test_capsule_distance_and_gap_of_blobs() -> None:
    capsule = Capsule((0.0, 0.0), (10.0, 0.0), 2.0, 4.0)
    points = np.array([(0.0, 3.0), (10.0, 3.0), (15.0, 0.0), (-5.0, 0.0)])
    np.testing.assert_allclose(capsule.distance(points[:, 0], points[:, 1]), [1, -1, 1, 3])
    circle = Blob((0.0, 0.0), 5.0, 5.0)
    assert gap(circle, circle.moved(13.0, 0)) == pytest.approx(3, abs=0.01)
    assert gap(circle, circle.moved(7.0, 0)) < 0


def test_pixels_hold_the_share_of_a_shape_that_they_cover() -> None:
    circle = Blob((8.0, -5.0), 6.0, 6.0)
    canvas = Canvas(128, shift=(3.0, 10.0), turn=0.1)
    window = canvas.around(circle)
    inside = np.zeros((canvas.samples, canvas.samples), dtype=np.float32)
    inside[window] = canvas.distance(circle, window) < 0
    canvas.classify(window, inside[window] > 0, "thecal_sac")
    share = canvas.pixel_mean(inside)
    pixel = FIELD_OF_VIEW / 128
    assert share.sum() * pixel**2 == pytest.approx(circle.area, rel=0.02)
    assert ((share > 0.1) & (share < 0.9)).any()
    np.testing.assert_array_equal(canvas.pixel_label() == SAC, share > 0.5)
    # Where the body's (8, -5) lies once turned by 0.1 and shifted by (3, 10).
    rows, columns = np.nonzero(share)
    weights = share[rows, columns]
    across = (np.average(columns, weights=weights) + 0.5) * pixel - FIELD_OF_VIEW / 2
    down = (np.average(rows, weights=weights) + 0.5) * pixel - FIELD_OF_VIEW / 2
    cos, sin = np.cos(0.1), np.sin(0.1)
    assert (across, down) == pytest.approx((3 + 8 * cos + 5 * sin, 10 + 8 * sin - 5 * cos), abs=0.1)


def test_a_complete_phantom_is_kept(written: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in written.rglob("*")}
    write_phantom(written, patients=2, image_size=SIZE, seed=5)
    assert {path: path.stat().st_mtime_ns for path in written.rglob("*")} == before


@pytest.mark.parametrize("other", [{"patients": 3}, {"image_size": 65}, {"seed": 6}, {"severities": (0.0, 0.9)}])
def test_a_phantom_of_other_parameters_is_refused(written: Path, other: dict[str, Any]) -> None:
    before = contents(written)
    with pytest.raises(UserError, match=r"holds another phantom.*remove it or give another folder"):
        write_phantom(written, **({"patients": 2, "image_size": SIZE, "seed": 5} | other))
    assert contents(written) == before


def test_a_foreign_folder_is_refused_and_an_empty_one_filled(tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    with pytest.raises(UserError, match="nothing is overwritten"):
        write_phantom(foreign, patients=1, image_size=SIZE, seed=0, workers=1)
    assert contents(foreign) == {"thesis.txt": b"years of work"}

    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "phantom.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        write_phantom(damaged, patients=1, image_size=SIZE, seed=0, workers=1)

    empty = tmp_path / "empty"
    empty.mkdir()
    write_phantom(empty, patients=1, image_size=SIZE, seed=0, workers=1)
    assert len(contents(empty)) == 14


def test_nothing_half_made_stays_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> RenderedSlice:
        raise KeyboardInterrupt

    monkeypatch.setattr("lss_lightning.phantom.layout.render_slice", fail)
    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "set", patients=1, image_size=SIZE, seed=0, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_two_writers_of_the_same_phantom_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, write_slices = tmp_path / "set", layout._write_slices

    def overtaken(*arguments: Any) -> None:
        monkeypatch.undo()
        write_phantom(root, patients=1, image_size=SIZE, seed=0, workers=1)
        write_slices(*arguments)

    monkeypatch.setattr(layout, "_write_slices", overtaken)
    write_phantom(root, patients=1, image_size=SIZE, seed=0, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert len(contents(root)) == 14


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"patients": 0}, "patients is 0"),
        ({"patients": 10_000}, "1 to 9999"),
        ({"image_size": 63}, "image_size is 63"),
        ({"seed": -1}, "seed is -1"),
        ({"severities": (0.2, 1.1)}, r"impossible anatomy: phantom severity is 0.2 to 1.1"),
        ({"severities": (-0.1, 0.5)}, "impossible anatomy"),
        ({"severities": (0.6, 0.5)}, "impossible anatomy"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_impossible_requests_are_refused_in_one_line(tmp_path: Path, wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        write_phantom(tmp_path / "set", **({"patients": 1, "image_size": SIZE, "seed": 0} | wrong))
    assert "\n" not in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def test_slices_that_do_not_exist_are_refused() -> None:
    with pytest.raises(UserError, match="patient 0"):
        render_slice(0, 0, "D3", SIZE)
    with pytest.raises(UserError, match="level 'D6'"):
        render_slice(0, 1, "D6", SIZE)


def test_the_papers_number_of_patients_is_one_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[tuple[int, str]] = []

    def plan(_: object, names: list[tuple[int, str]], *__: object, **___: object) -> Iterator[object]:
        planned.extend(names)
        raise KeyboardInterrupt

    monkeypatch.setattr(layout, "spread", plan)
    source = configure("data=phantom", "data.patients=515", f"data.root={tmp_path}").data
    with pytest.raises(KeyboardInterrupt):
        source.prepare()
    assert len(planned) == len(set(planned)) == 1545
    assert {level for _, level in planned} == set(LEVELS)


def test_severity_is_a_setting_with_a_folder_of_its_own(tmp_path: Path) -> None:
    severe, any_ = (
        configure("data=phantom", f"data.root={tmp_path}", "data.patients=1", "data.image_size=64", *more).data
        for more in (["data.severity=[0.8,1]"], [])
    )
    assert isinstance(severe, Phantom)
    assert isinstance(any_, Phantom)
    assert severe.folder != any_.folder
    severe.prepare()
    rows = (severe.folder / "truth.csv").read_text().splitlines()
    column = rows[0].split(",").index("severity")
    assert all(0.8 <= float(row.split(",")[column]) <= 1 for row in rows[1:])


@pytest.mark.parametrize("given", ["[0,1.5]", "[-0.5,1]", "[0.7,0.3]", "[0.5]"])
def test_impossible_severities_are_refused_before_anything_is_drawn(given: str) -> None:
    with pytest.raises(UserError, match=r"data.severity=.*impossible anatomy.*within 0 to 1"):
        configure("data=phantom", f"data.severity={given}")


def test_a_slice_knows_its_level_and_how_severely_it_is_narrowed(tmp_path: Path) -> None:
    source = configure("data=phantom", f"data.root={tmp_path}", "data.patients=4", "data.image_size=64").data
    source.prepare()
    assert isinstance(source, Phantom)
    rows = (source.folder / "truth.csv").read_text().splitlines()
    truth = {tuple(row.split(",")[:2]): float(row.split(",")[2]) for row in rows[1:]}
    bounds = {"none": (0, 0.25), "mild": (0.25, 0.5), "moderate": (0.5, 0.75), "severe": (0.75, 1.01)}
    slices = source.find().slices
    assert len(slices) == len(truth) == 12
    for piece in slices:
        low, high = bounds[piece.groups["severity"]]
        assert low <= truth[piece.patient, piece.level] < high
        assert piece.groups["level"] == piece.level
    assert source.groupings == {"level": LEVELS, "severity": tuple(bounds)}
    assert len({piece.groups["severity"] for piece in slices}) > 1


def test_a_phantom_without_its_truth_is_refused(tmp_path: Path) -> None:
    source = configure("data=phantom", f"data.root={tmp_path}", "data.patients=1", "data.image_size=64").data
    source.prepare()
    assert isinstance(source, Phantom)
    (source.folder / "truth.csv").write_text("patient,level\n0001,D3\n")
    with pytest.raises(UserError, match=r"truth.csv: cannot be read .*severity.*; remove .* so that the phantom is"):
        source.find()
