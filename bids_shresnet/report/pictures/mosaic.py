"""Mosaics: axial, coronal and sagittal slices of one map, on one colour scale.

All maps of a scan have the same slices, so that their pictures match pixel by pixel and can be
flickered. The colour maps are those of matplotlib that keep their order in grey and for
colour-blind readers. Slices are painted as pixels; matplotlib adds the text and the colour bar.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize, to_rgb
from matplotlib.figure import Figure
from scipy import ndimage

from bids_shresnet.report.pictures.slices import PLANE_AXES, SliceLayout
from bids_shresnet.report.style import (
    DPI,
    FAINT,
    Drawing,
    figure_style,
    render_voxel_figure,
)

PLANE_SIDES: Mapping[str, tuple[str, str]] = {  # on the left and on the right of a slice
    "axial": ("R", "L"),
    "coronal": ("R", "L"),
    "sagittal": ("A", "P"),
}
DARK_CMAPS = ("gray", "autumn")
FIGURE_WIDTH = 10 * DPI  # pixels
TITLE_HEIGHT = round(0.32 * DPI)
COLOUR_BAR_HEIGHT = round(0.55 * DPI)
DIRECTION_LEGEND = (
    "red: left-right    green: anterior-posterior    blue: inferior-superior    brightness: FA"
)


@dataclass(frozen=True)
class ColourScale:
    """Colours of the values in all pictures that are to be compared.

    Attributes
    ----------
    label
        Quantity and unit, for the colour bar.
    cmap
        Name of one of matplotlib's colour maps. Those of `DARK_CMAPS` are drawn on black, all
        others on white with the outline of the brain.
    """

    low: float
    high: float
    label: str
    cmap: str = "gray"

    @property
    def background(self) -> str:
        """Colour outside the brain."""
        return "black" if self.cmap in DARK_CMAPS else "white"

    def colour(self, values: Float[np.ndarray, "v u"]) -> UInt8[np.ndarray, "v u 3"]:
        """Colours of values; NaN has that of the background."""
        colours = colormaps[self.cmap](Normalize(self.low, self.high)(values), bytes=True)[..., :3]
        return np.where(np.isnan(values)[..., None], _to_bytes(self.background), colours)

    @property
    def text_colour(self) -> str:
        """Colour that is readable on the background."""
        return "white" if self.cmap in DARK_CMAPS else "black"


class _Pixels(Artist):
    """An image above the colour bar, pixel for pixel; `figimage` would resample it."""

    def __init__(self, pixels: UInt8[np.ndarray, "h w 3"]) -> None:
        super().__init__()
        self.pixels = pixels

    def draw(self, renderer: Any) -> None:
        """Draw; the renderer's rows begin at the bottom."""
        opaque = np.full((*self.pixels.shape[:2], 1), 255, np.uint8)
        image = np.concatenate([self.pixels, opaque], axis=2)
        renderer.draw_image(renderer.new_gc(), 0, COLOUR_BAR_HEIGHT, image[::-1])


def draw_mosaic(
    values: Float[np.ndarray, "x y z"],
    layout: SliceLayout,
    scale: ColourScale,
    title: str,
    *,
    name: str,
    caption: str,
    alt: str,
    outlines: Mapping[str, Bool[np.ndarray, "x y z"]] | None = None,
    underlay: Float[np.ndarray, "x y z"] | None = None,
) -> Drawing:
    """Draw one map.

    Parameters
    ----------
    values
        NaN where nothing is drawn, as outside the brain.
    outlines
        Regions to draw lines around, by colour; the last one is on top.
    underlay
        Grey values from 0 to 1, shown where the map has none.
    """
    lines = dict(outlines or {})
    if scale.background == "white":
        lines = {FAINT: layout.mask, **lines}
    rows = {}
    for plane in PLANE_AXES:
        row = _paint_row(layout, plane, values, scale, underlay)
        for colour, region in lines.items():
            row[_find_outline(layout, plane, region)] = _to_bytes(colour)
        rows[plane] = row
    palette = scale.cmap if underlay is None else None
    with figure_style():
        figure = _make_figure(layout, rows, title, scale.text_colour)
        _add_colour_bar(figure, scale)
        return render_voxel_figure(figure, name, caption, alt, cmap=palette)


def draw_direction_mosaic(
    directions: Float[np.ndarray, "x y z 3"],
    strength: Float[np.ndarray, "x y z"],
    layout: SliceLayout,
    title: str,
    *,
    name: str,
    caption: str,
    alt: str,
) -> Drawing:
    """Draw directions as colours.

    Parameters
    ----------
    directions
        Unit vectors along the world axes.
    strength
        Brightness, clipped to 0 to 1.
    """
    brightness = np.clip(np.where(layout.mask, strength, 0), 0, 1)
    colours = np.clip(np.abs(directions) * brightness[..., None], 0, 1)
    pixels = np.rint(255 * colours).astype(np.uint8)
    rows = {
        plane: _enlarge(layout.tile_slices(pixels, plane), layout, plane) for plane in PLANE_AXES
    }
    with figure_style():
        figure = _make_figure(layout, rows, title, "white")
        height = figure.get_figheight()
        figure.text(0.5, 0.2 / height, DIRECTION_LEGEND, ha="center", va="bottom")
        return render_voxel_figure(figure, name, caption, alt)


def _paint_row(
    layout: SliceLayout,
    plane: str,
    values: Float[np.ndarray, "x y z"],
    scale: ColourScale,
    underlay: Float[np.ndarray, "x y z"] | None,
) -> UInt8[np.ndarray, "h w 3"]:
    """Paint the slices of one plane."""
    tiles = layout.tile_slices(values, plane)
    colours = scale.colour(tiles)
    if underlay is not None:
        grey = ColourScale(0.0, 1.0, "").colour(layout.tile_slices(underlay, plane))
        colours = np.where(np.isnan(tiles)[..., None], grey, colours)
    return np.asarray(_enlarge(colours, layout, plane))


def _enlarge(
    tiles: Shaped[np.ndarray, "v u *n"], layout: SliceLayout, plane: str
) -> Shaped[np.ndarray, "h w *n"]:
    """Enlarge the slices of a plane to the width of the figure, without blending voxels."""
    width_mm, height_mm = layout.size_mm(plane)
    rows = _nearest(round(FIGURE_WIDTH * height_mm / width_mm), tiles.shape[0])
    wide = tiles[:, _nearest(FIGURE_WIDTH, tiles.shape[1])]  # first, because whole rows copy fast
    return np.asarray(wide[rows])


def _nearest(size: int, count: int) -> Int[np.ndarray, " s"]:
    """Voxel of each pixel, of `count` voxels along `size` pixels."""
    return np.asarray((np.arange(size) + 0.5) * count // size, int)


def _find_outline(
    layout: SliceLayout, plane: str, region: Bool[np.ndarray, "x y z"]
) -> Bool[np.ndarray, "h w"]:
    """Find the pixels of a region with a neighbour outside."""
    row = _enlarge(layout.tile_slices(region, plane), layout, plane)
    return np.asarray(row & ~ndimage.binary_erosion(row, border_value=1))


def _to_bytes(colour: str) -> UInt8[np.ndarray, "3"]:
    return np.array([round(255 * part) for part in to_rgb(colour)], np.uint8)


def _make_figure(
    layout: SliceLayout,
    rows: Mapping[str, UInt8[np.ndarray, "h w 3"]],
    title: str,
    text_colour: str,
) -> Figure:
    """Make a figure with one row per plane, and room for a colour bar below."""
    slices = np.concatenate(list(rows.values()))
    total = TITLE_HEIGHT + len(slices) + COLOUR_BAR_HEIGHT
    size = (FIGURE_WIDTH / DPI, total / DPI)
    figure = Figure(figsize=size, dpi=DPI, facecolor="white")
    figure.add_artist(_Pixels(slices))
    y = 1 - 0.06 * DPI / total
    figure.text(0.004, y, title, ha="left", va="top", fontweight="bold", fontsize=10)
    top = total - TITLE_HEIGHT
    for plane, row in rows.items():
        _write_positions(figure, layout, plane, (top - len(row), top), text_colour)
        top -= len(row)
    return figure


def _write_positions(
    figure: Figure, layout: SliceLayout, plane: str, edges: tuple[int, int], colour: str
) -> None:
    """Write the position of each slice in mm, and the sides of the first slice.

    `edges` are the lower and the upper edge of the row in pixels from the bottom.
    """
    lower, upper = edges
    total = figure.get_figheight() * DPI
    bottom = (lower + 0.02 * (upper - lower)) / total
    top = (lower + 0.97 * (upper - lower)) / total
    tile_width = 1 / len(layout.slices[plane])
    axis_name = "xyz"[PLANE_AXES[plane]]
    style: dict[str, Any] = {"color": colour, "fontsize": 6.5}
    for index, position in enumerate(layout.positions_mm(plane)):
        x = (index + 0.03) * tile_width
        figure.text(x, bottom, f"{axis_name} {position:.0f}", va="bottom", **style)
    left, right = PLANE_SIDES[plane]
    figure.text(0.03 * tile_width, top, left, va="top", **style)
    figure.text(0.97 * tile_width, top, right, va="top", ha="right", **style)


def _add_colour_bar(figure: Figure, scale: ColourScale) -> None:
    """Add a bar below the slices; its arrows stand for values beyond the ends."""
    height = figure.get_figheight()
    bar = figure.colorbar(
        ScalarMappable(Normalize(scale.low, scale.high), scale.cmap),
        cax=figure.add_axes((0.25, 0.4 / height, 0.5, 0.1 / height)),
        orientation="horizontal",
        extend="both",
    )
    bar.ax.tick_params(labelsize=7.5, length=2, pad=1.5)
    bar.set_label(scale.label, fontsize=8.5, labelpad=1)
