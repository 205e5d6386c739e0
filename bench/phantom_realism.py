"""How like real slices the phantom's are: class shares, intensities, contrasts, power spectra, and pictures.

``python bench/phantom_realism.py [--root DATA] [--out realism] [--patients 32] [--size 320] [--seed 0]``

Without ``--root``, a folder in the Al-Kafri layout, only the phantom is measured and drawn. Every figure is the mean
over slices, with the standard deviation between them. Pictures of a user's own data stay in ``--out``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

# A checkout's package need not be installed.
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from lss_lightning.data.alkafri import find_slices
from lss_lightning.data.loading import load_slices
from lss_lightning.labels import LUMBAR
from lss_lightning.phantom import RenderedSlice, render_slice
from lss_lightning.phantom.patient import LEVELS
from lss_lightning.reporting import style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIELD_OF_VIEW = 220.0
PUBLISHED_SHARES = dict(zip(LUMBAR.keys, (0.24, 3.54, 1.57, 0.32, 0.55, 93.8), strict=True))
"""Mean share of each class in percent of the pixels, over 610 labels of the real data."""

NEIGHBOURS = (
    ("intervertebral_disc", "aap"),
    ("thecal_sac", "aap"),
    ("thecal_sac", "intervertebral_disc"),
    ("posterior_element", "aap"),
    ("posterior_element", "other"),
    ("intervertebral_disc", "other"),
)
RIM = 6.0
"""Of class Other, a contrast takes only what lies within so many mm of its neighbour."""

BANDS = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Edges of the bands of spatial frequency, cycles per mm; 224 pixels reach 0.51."""

RINGS = np.geomspace(BANDS[0], BANDS[-1], 41)
MIDDLES = np.sqrt(RINGS[:-1] * RINGS[1:])


@dataclass(frozen=True)
class Picture:
    """An image with its label: uint8, (H, W) both."""

    title: str
    image: NDArray[np.uint8]
    label: NDArray[np.uint8]

    @property
    def spacing(self) -> float:
        """Pixel, mm."""
        return FIELD_OF_VIEW / self.image.shape[1]


def real_pictures(root: Path, channel: str) -> list[Picture]:
    """The slices of a data set that have an image of a channel, ``t1`` or ``t2``."""
    loaded = load_slices(find_slices(root, channel).slices, channel, LUMBAR)
    return [Picture(piece.slice.name, piece.image[0], piece.label) for piece in loaded]


def render(patients: int, size: int, seed: int, randomise: float = 0.0) -> dict[str, RenderedSlice]:
    """As many patients of the phantom, three slices each, by name; ``randomise`` as in :func:`render_slice`."""
    names = [(patient, level) for patient in range(1, patients + 1) for level in LEVELS]
    return {f"{p:04d}_{level}": render_slice(seed, p, level, size, randomise) for p, level in names}


def phantom_pictures(rendered: dict[str, RenderedSlice], channel: str) -> list[Picture]:
    """The phantom's slices as a channel, ``t1`` or ``t2``, shows them."""
    return [Picture(name, getattr(piece, channel), piece.label) for name, piece in rendered.items()]


def shares(picture: Picture) -> dict[str, float]:
    """Share of each class in percent of the pixels."""
    return {key: 100 * float((picture.label == index).mean()) for index, key in enumerate(LUMBAR.keys)}


def means(picture: Picture) -> dict[str, float]:
    """Mean grey value of each class; NaN for one that does not occur."""
    found = {}
    for index, key in enumerate(LUMBAR.keys):
        pixels = picture.image[picture.label == index]
        found[key] = float(pixels.mean()) if pixels.size else np.nan
    return found


def contrasts(picture: Picture) -> dict[str, float]:
    """Difference of two classes' mean grey values over their sum (Michelson)."""
    found = {}
    for first, second in NEIGHBOURS:
        one, two = (picture.label == LUMBAR.keys.index(key) for key in (first, second))
        if second == "other":
            two = two & near(one, round(RIM / picture.spacing))
        if one.any() and two.any():
            a, b = float(picture.image[one].mean()), float(picture.image[two].mean())
            found[f"{first} – {second}"] = (a - b) / (a + b)
    return found


def near(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """What lies within so many steps to a neighbouring pixel of a mask."""
    for _ in range(reach):
        wider = np.pad(mask, 1)
        mask = wider[1:-1, 1:-1] | wider[:-2, 1:-1] | wider[2:, 1:-1] | wider[1:-1, :-2] | wider[1:-1, 2:]
    return mask


def power(picture: Picture) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Spatial frequency in cycles per mm and power of a Hann-windowed image, (H, W) both.

    Power is given as a share of what lies between the first and the last of :data:`BANDS`.
    """
    height, width = picture.image.shape
    grey = picture.image / 255.0
    windowed = (grey - grey.mean()) * np.hanning(height)[:, None] * np.hanning(width)
    down, across = (np.fft.fftfreq(length, picture.spacing) for length in (height, width))
    frequency = np.hypot(down[:, None], across)
    found = np.abs(np.fft.fft2(windowed)) ** 2
    return frequency, found / found[(frequency >= BANDS[0]) & (frequency < BANDS[-1])].sum()


def spectrum(picture: Picture) -> NDArray[np.float64]:
    """Mean power between the :data:`RINGS`."""
    frequency, found = power(picture)
    count, total = (
        np.histogram(frequency, RINGS, weights=weights)[0].astype(float) for weights in (np.ones_like(found), found)
    )
    return total / count


def band_powers(picture: Picture) -> dict[str, float]:
    """Decadic logarithm of each band's share of the power."""
    frequency, found = power(picture)
    return {
        f"{low:g}-{high:g} / mm": float(np.log10(found[(frequency >= low) & (frequency < high)].sum()))
        for low, high in pairwise(BANDS)
    }


Measure = Callable[[Picture], dict[str, float]]
MEASURES: dict[str, Measure] = {
    "share of pixels, %": shares,
    "mean grey value, 0-255": means,
    "contrast (a − b) / (a + b)": contrasts,
    "power by band, log10 of share": band_powers,
}


def show(groups: dict[str, list[Picture]], channel: str) -> None:
    """Print every measure of every group of pictures."""
    table = Table(title=f"{channel.upper()}: mean over slices (standard deviation between them)")
    table.add_column("")
    for name, pictures in groups.items():
        table.add_column(f"{name}, {len(pictures)} slices", justify="right")
    table.add_column("real data, 610 labels", justify="right")
    for heading, measure in MEASURES.items():
        table.add_section()
        table.add_row(f"[bold]{heading}")
        found = {name: [measure(picture) for picture in pictures] for name, pictures in groups.items()}
        for key in dict.fromkeys(key for rows in found.values() for row in rows for key in row):
            cells = [_mean([row.get(key, np.nan) for row in rows]) for rows in found.values()]
            published = f"{PUBLISHED_SHARES[key]:g}" if measure is shares else ""
            table.add_row(key.replace("_", " "), *cells, published)
    Console().print(table)


def _mean(values: list[float]) -> str:
    known = np.array(values)[~np.isnan(values)]
    return f"{known.mean():.2f} ({known.std():.2f})" if known.size else style.MISSING


def draw_slices(groups: dict[str, list[Picture]], path: Path, caption: str) -> None:
    """Four slices of each group, plain and with the label's outlines, all in the window 0-255."""
    with style.look():
        rows = 2 * len(groups)
        figure, body = style.new_figure(1.85 * rows + 0.3, caption)
        panels = body.subplots(rows, 4, squeeze=False)
        for (name, pictures), start in zip(groups.items(), range(0, rows, 2), strict=True):
            # Of the phantom, spread over patients and levels.
            chosen = [pictures[k] for k in np.linspace(0, len(pictures) - 1, 4).astype(int)]
            for column, picture in enumerate(chosen):
                for row, outlined in ((start, False), (start + 1, True)):
                    _draw(panels[row, column], picture, outlined=outlined)
                panels[start, column].set_title(f"{name} {picture.title}")
        lines = [Line2D([], [], color=LUMBAR[k].colour, label=LUMBAR[k].name) for k in LUMBAR.anatomical]
        body.legend(handles=lines, loc="outside lower center", ncols=4)
        style.save(figure, path)


def _draw(axes: Axes, picture: Picture, *, outlined: bool) -> None:
    """The middle of a slice: 150 of its 220 mm."""
    axes.imshow(picture.image, cmap="gray", vmin=0, vmax=255, extent=(-110, 110, 110, -110))
    axes.set(xlim=(-75, 75), ylim=(95, -55), xticks=[], yticks=[])
    if outlined:
        middles = (np.arange(len(picture.label)) + 0.5) * picture.spacing - FIELD_OF_VIEW / 2
        for index in LUMBAR.anatomical:
            if (picture.label == index).any():
                colour = LUMBAR[index].colour
                axes.contour(middles, middles, picture.label == index, [0.5], colors=[colour], linewidths=0.8)


def draw_spectra(groups: dict[str, list[Picture]], path: Path, caption: str) -> None:
    """Radial power spectra: median over slices, and what half of them lie between."""
    with style.look():
        figure, body = style.new_figure(3.0, caption)
        axes = body.subplots()
        for (name, pictures), colour in zip(groups.items(), (style.TRAINING, style.VALIDATION), strict=False):
            low, middle, high = np.percentile([spectrum(picture) for picture in pictures], (25, 50, 75), axis=0)
            axes.loglog(MIDDLES, middle, color=colour, label=f"{name}, {len(pictures)} slices")
            axes.fill_between(MIDDLES, low, high, color=colour, alpha=0.25, linewidth=0)
        axes.set(xlabel="Spatial frequency, cycles per mm", ylabel="Mean power, share of the whole")
        axes.set_xticks(BANDS, [f"{edge:g}" for edge in BANDS])
        axes.minorticks_off()
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}"))
        axes.grid(visible=True)
        axes.legend()
        style.save(figure, path)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--root", type=Path, help="real slices, in the Al-Kafri layout")
    parser.add_argument("--out", type=Path, default=Path("realism"), help="folder for the pictures (realism)")
    parser.add_argument("--patients", type=int, default=32, help="of the phantom, three slices each (32)")
    parser.add_argument("--size", type=int, default=320, help="the phantom's pixels a side (320)")
    parser.add_argument("--seed", type=int, default=0, help="the phantom's (0)")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    plain, strange = (render(given.patients, given.size, given.seed, randomise) for randomise in (0.0, 1.0))
    for channel in ("t2", "t1"):
        groups = {"Phantom": phantom_pictures(plain, channel)}
        note = f"Phantom, seed {given.seed}, {given.size} pixels: no clinical meaning. {channel.upper()}, window 0-255."
        draw_slices(groups, given.out / f"phantom_{channel}.png", note)
        randomised = phantom_pictures(strange, channel)
        draw_slices({"Randomised": randomised}, given.out / f"phantom_randomised_{channel}.png", note)
        if given.root is not None:
            groups["Real"] = real_pictures(given.root, channel)
            note += f" Real: {given.root.name}. Research use only."
            draw_slices(groups, given.out / f"side_by_side_{channel}.png", note)
        draw_spectra(groups, given.out / f"spectra_{channel}.png", f"{note} Band: the middle half of the slices.")
        show({**groups, "Randomised": randomised}, channel)


if __name__ == "__main__":
    main()
