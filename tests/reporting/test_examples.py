import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.legend import Legend
from matplotlib.text import Text
from PIL import Image

from lss_lightning.labels import IGNORE_INDEX, LUMBAR
from lss_lightning.reporting import Case, plot_examples, style
from lss_lightning.reporting.examples import draw_examples, find_crop

OTHER = LUMBAR.keys.index("other")
DISC = LUMBAR.keys.index("intervertebral_disc")
SAC = LUMBAR.keys.index("thecal_sac")


def make_case(channels=1, iou=0.8125, title="Best: patient 0001, D4"):
    """Make a case with a disc and a sac.

    The prediction misses a 3 x 4 corner of the sac, and has an additional 5 x 2 disc far outside.
    """
    image = np.random.default_rng(0).integers(0, 200, (80, 100, channels), dtype=np.uint8)
    label = np.full((80, 100), OTHER, dtype=np.uint8)
    label[30:44, 40:60] = DISC
    label[46:56, 45:55] = SAC
    label[:, 96:] = IGNORE_INDEX
    prediction = np.where(label == IGNORE_INDEX, DISC, label)
    prediction[46:49, 45:49] = OTHER
    prediction[2:7, 3:5] = DISC
    return Case(title, image, label, prediction, iou)


def draw(*cases):
    return draw_examples(cases, LUMBAR, caption="Data and checkpoint")


def texts_of(figure):
    return [text.get_text() for text in figure.findobj(Text)]


def mask_of(axes, colour):
    """Return the mask of the pixels that a panel paints in a colour."""
    layers = [layer.get_array() for layer in axes.images if layer.get_array().shape[-1] == 4]
    return np.any([np.isclose(x[..., :3] / 255, to_rgb(colour)).all(-1) & (x[..., 3] > 0) for x in layers], axis=0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_case_has_a_row_of_four_panels(count):
    cases = [make_case(title=f"Case {number}", iou=number / 10) for number in range(count)]
    figure = draw(*cases)

    assert [axes.get_title() for axes in figure.axes] == ["Image", "Label", "Prediction", "Differences"] * count
    texts = texts_of(figure)
    for number in range(count):
        assert f"Case {number} · mean IoU over anatomical classes {number / 10:.3f}" in texts
    assert "Data and checkpoint" in texts


def test_case_without_anatomy_has_a_dash_instead_of_a_score():
    figure = draw(make_case(iou=float("nan")))
    assert any(text.endswith("mean IoU over anatomical classes –") for text in texts_of(figure))


def test_legend_lists_every_class_with_its_colour():
    (legend,) = draw(make_case()).findobj(Legend)
    entries = zip(legend.get_texts(), legend.get_patches(), strict=True)
    colours = {text.get_text(): to_hex(patch.get_edgecolor()) for text, patch in entries}
    assert colours == {label.name: label.colour for label in LUMBAR} | {"Label and prediction differ": style.DIFFERENCE}


def test_overlays_colour_the_classes_but_not_ignored_pixels():
    case = make_case()
    _, label, prediction, _ = draw(case).axes
    for axes, classes in ((label, case.label), (prediction, case.prediction)):
        for index in (DISC, SAC, OTHER):
            np.testing.assert_array_equal(mask_of(axes, LUMBAR[index].colour), classes == index)
    assert not label.images[-1].get_array()[:, 96:, 3].any()


def test_present_anatomical_classes_are_outlined():
    _, label, _, differences = draw(make_case()).axes
    outlines = [to_hex(contour.get_edgecolor()[0]) for contour in label.collections]
    assert outlines == [LUMBAR[DISC].colour, LUMBAR[SAC].colour]
    assert not differences.collections


def test_differences_inside_and_outside_the_view_are_counted():
    case = make_case()
    differences = draw(case).axes[3]
    expected = np.zeros(case.label.shape, dtype=bool)
    expected[46:49, 45:49] = True
    expected[2:7, 3:5] = True
    np.testing.assert_array_equal(mask_of(differences, style.DIFFERENCE), expected)
    assert differences.get_xlabel() == "12 px + 10 outside"


def test_panels_of_a_row_share_a_view_that_contains_the_anatomy():
    first, *rest = draw(make_case()).axes
    (left, right), (bottom, top) = first.get_xlim(), first.get_ylim()
    assert all((axes.get_xlim(), axes.get_ylim()) == ((left, right), (bottom, top)) for axes in rest)
    assert right - left == bottom - top == 32
    assert top < 30 < 56 < bottom
    assert left < 40 < 60 < right


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [
        (slice(30, 50), slice(40, 60), (27, 37, 25)),
        (slice(0, 20), slice(80, 100), (0, 75, 25)),  # at a corner: moved into the image
        (slice(0, 80), slice(10, 40), (0, 0, 99)),  # taller than the image with its margin
        (slice(0, 0), slice(0, 0), (0, 0, 100)),  # no anatomy
    ],
)
def test_find_crop(rows, columns, expected):
    label = np.full((80, 100), OTHER, dtype=np.uint8)
    label[rows, columns] = DISC
    assert find_crop(label, LUMBAR) == expected


def test_crop_ignores_small_parts_but_not_large_ones():
    label = np.full((80, 100), OTHER, dtype=np.uint8)
    label[30:50, 40:60] = DISC
    label[78:80, 40:56] = SAC
    assert find_crop(label, LUMBAR) == (27, 37, 25)
    label[70:80, 40:56] = SAC
    assert find_crop(label, LUMBAR)[2] == round(50 * 1.24)


def test_crop_of_scattered_anatomy_contains_all_parts():
    label = np.full((80, 100), OTHER, dtype=np.uint8)
    label[10:60:4, 20:70:4] = SAC
    assert find_crop(label, LUMBAR)[2] == round(49 * 1.24)


@pytest.mark.parametrize("channels", [1, 3])
def test_first_panel_shows_grey_and_composite_images(channels):
    image = draw(make_case(channels)).axes[0].images[-1].get_array()
    assert image.shape == ((80, 100) if channels == 1 else (80, 100, 3))
    assert image.max() == 1


@pytest.mark.filterwarnings("error")
def test_black_image_is_drawn(tmp_path):
    case = make_case()
    black_case = Case(case.title, np.zeros_like(case.image), case.label, case.prediction, case.iou)
    plot_examples([black_case], LUMBAR, tmp_path / "examples.png", caption="c")
    with Image.open(tmp_path / "examples.png") as image:
        assert image.width == round(style.WIDTH * style.DPI)
