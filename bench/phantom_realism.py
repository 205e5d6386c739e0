"""Comparison of phantom and real slices: class shares, intensities, contrasts, power spectra, and images.

``python bench/phantom_realism.py [--root DATA] [--out realism] [--patients 32] [--size 320] [--seed 0]``

Without ``--root``, a folder in the Al-Kafri layout, only the phantom is analysed and drawn. Every value is the mean
over slices, with the standard deviation between them. Images of the user's own data are written only to ``--out``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

# Works without installing the package.
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.alkafri_layout import ALKAFRI_LEVELS
from lss_lightning.data.loading import load_slices
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import RenderedSlice, render_slice
from lss_lightning.reporting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIELD_OF_VIEW = 220.0
PUBLISHED_SHARES = dict(zip(LUMBAR.keys, (0.24, 3.54, 1.57, 0.32, 0.55, 93.8), strict=True))
"""Mean percentage of pixels of each class, over 610 labels of the real data."""

NEIGHBOURS = (
    ("intervertebral_disc", "aap"),
    ("thecal_sac", "aap"),
    ("thecal_sac", "intervertebral_disc"),
    ("posterior_element", "aap"),
    ("posterior_element", "other"),
    ("intervertebral_disc", "other"),
)
RIM = 6.0
"""Contrasts with class Other use only its pixels within this distance of the neighbour, mm."""

BANDS = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Edges of the spatial-frequency bands, cycles per mm; the Nyquist frequency with 224 pixels is 0.51."""

RINGS = np.geomspace(BANDS[0], BANDS[-1], 41)
RING_CENTRES = np.sqrt(RINGS[:-1] * RINGS[1:])


@dataclass(frozen=True)
class LabelledImage:
    """An image with its label.

    Attributes:
        title: Name of the slice.
        pixels: Grey values, (H, W), uint8.
        label: Class indices, (H, W), uint8.
    """

    title: str
    pixels: NDArray[np.uint8]
    label: NDArray[np.uint8]

    @property
    def spacing(self) -> float:
        """The pixel spacing in mm."""
        return FIELD_OF_VIEW / self.pixels.shape[1]


def load_real_slices(root: Path, channel: str) -> list[LabelledImage]:
    """Load the slices of a dataset that have an image of a channel, ``t1`` or ``t2``."""
    loaded = load_slices(find_slices(root, channel).slices, channel, LUMBAR)
    return [LabelledImage(item.slice.name, item.image[0], item.label) for item in loaded]


def render(patients: int, size: int, seed: int, randomise: float = 0.0) -> dict[str, RenderedSlice]:
    """Render three slices of each patient of the phantom, by name.

    Args:
        patients: Number of patients.
        size: Height and width in pixels.
        seed: Seed of the phantom.
        randomise: Randomisation, as for :func:`~lss_lightning.phantom.render_slice`.
    """
    names = [(patient, level) for patient in range(1, patients + 1) for level in ALKAFRI_LEVELS]
    return {f"{p:04d}_{level}": render_slice(seed, p, level, size, randomise) for p, level in names}


def select_channel(rendered: dict[str, RenderedSlice], channel: str) -> list[LabelledImage]:
    """Return the images of a channel, ``t1`` or ``t2``, of phantom slices."""
    return [LabelledImage(name, getattr(slice_, channel), slice_.label) for name, slice_ in rendered.items()]


def compute_shares(image: LabelledImage) -> dict[str, float]:
    """Return the percentage of pixels of each class."""
    return {key: 100 * float((image.label == index).mean()) for index, key in enumerate(LUMBAR.keys)}


def compute_means(image: LabelledImage) -> dict[str, float]:
    """Return the mean grey value of each class; NaN for a class that does not occur."""
    means = {}
    for index, key in enumerate(LUMBAR.keys):
        pixels = image.pixels[image.label == index]
        means[key] = float(pixels.mean()) if pixels.size else np.nan
    return means


def compute_contrasts(image: LabelledImage) -> dict[str, float]:
    """Return the Michelson contrast of neighbouring classes, (a − b) / (a + b) of their mean grey values a and b."""
    contrasts = {}
    for first, second in NEIGHBOURS:
        first_mask, second_mask = (image.label == LUMBAR.keys.index(key) for key in (first, second))
        if second == "other":
            second_mask = second_mask & dilate(first_mask, round(RIM / image.spacing))
        if first_mask.any() and second_mask.any():
            a, b = float(image.pixels[first_mask].mean()), float(image.pixels[second_mask].mean())
            contrasts[f"{first} – {second}"] = (a - b) / (a + b)
    return contrasts


def dilate(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Dilate a mask by several steps to the four neighbours of each pixel."""
    for _ in range(steps):
        wider = np.pad(mask, 1)
        mask = wider[1:-1, 1:-1] | wider[:-2, 1:-1] | wider[2:, 1:-1] | wider[1:-1, :-2] | wider[1:-1, 2:]
    return mask


def compute_power(image: LabelledImage) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the power spectrum of a Hann-windowed image.

    Returns:
        - Spatial frequency in cycles per mm, (H, W).
        - Power, (H, W), as a fraction of that between the first and the last edge of :data:`BANDS`.
    """
    height, width = image.pixels.shape
    grey = image.pixels / 255.0
    windowed = (grey - grey.mean()) * np.hanning(height)[:, None] * np.hanning(width)
    down, across = (np.fft.fftfreq(length, image.spacing) for length in (height, width))
    frequency = np.hypot(down[:, None], across)
    power = np.abs(np.fft.fft2(windowed)) ** 2
    return frequency, power / power[(frequency >= BANDS[0]) & (frequency < BANDS[-1])].sum()


def compute_spectrum(image: LabelledImage) -> NDArray[np.float64]:
    """Return the mean power in each ring of :data:`RINGS`."""
    frequency, power = compute_power(image)
    count, total = (
        np.histogram(frequency, RINGS, weights=weights)[0].astype(float) for weights in (np.ones_like(power), power)
    )
    return total / count


def compute_band_powers(image: LabelledImage) -> dict[str, float]:
    """Return the decadic logarithm of the fraction of power in each band."""
    frequency, power = compute_power(image)
    return {
        f"{low:g}-{high:g} / mm": float(np.log10(power[(frequency >= low) & (frequency < high)].sum()))
        for low, high in pairwise(BANDS)
    }


STATISTICS: dict[str, Callable[[LabelledImage], dict[str, float]]] = {
    "share of pixels, %": compute_shares,
    "mean grey value, 0-255": compute_means,
    "contrast (a − b) / (a + b)": compute_contrasts,
    "power by band, log10 of share": compute_band_powers,
}


def print_statistics(groups: dict[str, list[LabelledImage]], channel: str) -> None:
    """Print a table with all statistics of all groups of images."""
    table = Table(title=f"{channel.upper()}: mean over slices (standard deviation between them)")
    table.add_column("")
    for name, images in groups.items():
        table.add_column(f"{name}, {len(images)} slices", justify="right")
    table.add_column("real data, 610 labels", justify="right")
    for heading, statistic in STATISTICS.items():
        table.add_section()
        table.add_row(f"[bold]{heading}")
        values = {name: [statistic(image) for image in images] for name, images in groups.items()}
        for key in dict.fromkeys(key for rows in values.values() for row in rows for key in row):
            cells = [_format_mean([row.get(key, np.nan) for row in rows]) for rows in values.values()]
            published = f"{PUBLISHED_SHARES[key]:g}" if statistic is compute_shares else ""
            table.add_row(key.replace("_", " "), *cells, published)
    Console().print(table)


def _format_mean(values: list[float]) -> str:
    defined = np.array(values)[~np.isnan(values)]
    return f"{defined.mean():.2f} ({defined.std():.2f})" if defined.size else style.MISSING


def draw_slices(groups: dict[str, list[LabelledImage]], path: Path, caption: str) -> None:
    """Draw four slices of each group, plain and with the outlines of the label, all with the window 0-255."""
    with style.context():
        rows = 2 * len(groups)
        figure, body = style.new_figure(1.85 * rows + 0.3, caption)
        panels = body.subplots(rows, 4, squeeze=False)
        for (name, images), start in zip(groups.items(), range(0, rows, 2), strict=True):
            # Spread over the patients and levels of the phantom.
            chosen = [images[k] for k in np.linspace(0, len(images) - 1, 4).astype(int)]
            for column, image in enumerate(chosen):
                for row, outlined in ((start, False), (start + 1, True)):
                    _draw(panels[row, column], image, outlined=outlined)
                panels[start, column].set_title(f"{name} {image.title}")
        lines = [Line2D([], [], color=LUMBAR[k].colour, label=LUMBAR[k].name) for k in LUMBAR.anatomical]
        body.legend(handles=lines, loc="outside lower center", ncols=4)
        style.save(figure, path)


def _draw(axes: Axes, image: LabelledImage, *, outlined: bool) -> None:
    """Draw the central 150 of the 220 mm of a slice."""
    axes.imshow(image.pixels, cmap="gray", vmin=0, vmax=255, extent=(-110, 110, 110, -110))
    axes.set(xlim=(-75, 75), ylim=(95, -55), xticks=[], yticks=[])
    if outlined:
        centres = (np.arange(len(image.label)) + 0.5) * image.spacing - FIELD_OF_VIEW / 2
        for index in LUMBAR.anatomical:
            if (image.label == index).any():
                colour = LUMBAR[index].colour
                axes.contour(centres, centres, image.label == index, [0.5], colors=[colour], linewidths=0.8)


def draw_spectra(groups: dict[str, list[LabelledImage]], path: Path, caption: str) -> None:
    """Draw radial power spectra: the median over slices, and the middle half of the slices."""
    with style.context():
        figure, body = style.new_figure(3.0, caption)
        axes = body.subplots()
        for (name, images), colour in zip(groups.items(), (style.TRAINING, style.VALIDATION), strict=False):
            low, middle, high = np.percentile([compute_spectrum(image) for image in images], (25, 50, 75), axis=0)
            axes.loglog(RING_CENTRES, middle, color=colour, label=f"{name}, {len(images)} slices")
            axes.fill_between(RING_CENTRES, low, high, color=colour, alpha=0.25, linewidth=0)
        axes.set(xlabel="Spatial frequency, cycles per mm", ylabel="Mean power, fraction of the total")
        axes.set_xticks(BANDS, [f"{edge:g}" for edge in BANDS])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}"))
        axes.grid(visible=True)
        axes.legend()
        style.save(figure, path)


def main() -> None:
    """Compute the statistics, print them and draw the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, help="real slices, in the Al-Kafri layout")
    parser.add_argument("--out", type=Path, default=Path("realism"), help="folder for the figures (realism)")
    parser.add_argument(
        "--patients", type=int, default=32, help="number of phantom patients, with three slices each (32)"
    )
    parser.add_argument("--size", type=int, default=320, help="height and width of the phantom in pixels (320)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the phantom (0)")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    plain, randomised_slices = (render(args.patients, args.size, args.seed, randomise) for randomise in (0.0, 1.0))
    for channel in ("t2", "t1"):
        groups = {"Phantom": select_channel(plain, channel)}
        note = f"Phantom, seed {args.seed}, {args.size} pixels: no clinical meaning. {channel.upper()}, window 0-255."
        draw_slices(groups, args.out / f"phantom_{channel}.png", note)
        randomised = select_channel(randomised_slices, channel)
        draw_slices({"Randomised": randomised}, args.out / f"phantom_randomised_{channel}.png", note)
        if args.root is not None:
            groups["Real"] = load_real_slices(args.root, channel)
            note += f" Real: {args.root.name}. Research use only."
            draw_slices(groups, args.out / f"side_by_side_{channel}.png", note)
        draw_spectra(groups, args.out / f"spectra_{channel}.png", f"{note} Band: the middle half of the slices.")
        print_statistics({**groups, "Randomised": randomised}, channel)


if __name__ == "__main__":
    main()
