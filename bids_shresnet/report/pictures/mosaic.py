"""Mosaics: axial, coronal and sagittal slices of one map, on one colour scale.

All maps of a scan have the same slices, so that their pictures match pixel by pixel and can be
flickered. The colour maps are those of matplotlib that keep their order in grey and for
colour-blind readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from bids_shresnet.report.pictures.slices import PLANE_AXES, SliceLayout
from bids_shresnet.report.style import FAINT, RED, Drawing, figure_style, render_voxel_figure

PLANE_SIDES: Mapping[str, tuple[str, str]] = {  # on the left and on the right of a slice
    "axial": ("R", "L"),
    "coronal": ("R", "L"),
    "sagittal": ("A", "P"),
}
FIGURE_WIDTH_INCHES = 10.0
TITLE_HEIGHT_INCHES = 0.32
COLOUR_BAR_HEIGHT_INCHES = 0.55
OUTLINE_WIDTH_POINTS = 0.5
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
        Name of one of matplotlib's colour maps. "gray" is drawn on black, all others on white with
        the outline of the brain.
    contour_level
        Value at which a red line is drawn.
    """

    low: float
    high: float
    label: str
    cmap: str = "gray"
    contour_level: float | None = None

    @property
    def background(self) -> str:
        """Colour outside the brain."""
        return "black" if self.cmap == "gray" else "white"

    @property
    def text_colour(self) -> str:
        """Colour that is readable on the background."""
        return "white" if self.cmap == "gray" else "black"


def draw_mosaic(
    values: Float[np.ndarray, "x y z"],
    layout: SliceLayout,
    scale: ColourScale,
    title: str,
    *,
    name: str,
    caption: str,
    alt: str,
) -> Drawing:
    """Draw one map inside the brain."""
    with figure_style():
        figure, rows = _make_figure(layout, title)
        for plane, axes in rows.items():
            _draw_row(axes, layout, plane, values, scale)
        _add_colour_bar(figure, scale)
        return render_voxel_figure(figure, name, caption, alt, cmap=scale.cmap)


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
    colours = np.abs(directions) * brightness[..., None]
    with figure_style():
        figure, rows = _make_figure(layout, title)
        for plane, axes in rows.items():
            pixels = np.clip(layout.tile_slices(colours, plane), 0, 1)
            _show_slices(axes, layout, plane, pixels)
            _write_positions(axes, layout, plane, "white")
        height = figure.get_figheight()
        figure.text(0.5, 0.2 / height, DIRECTION_LEGEND, ha="center", va="bottom")
        return render_voxel_figure(figure, name, caption, alt)


def _make_figure(layout: SliceLayout, title: str) -> tuple[Figure, dict[str, Axes]]:
    """Make a figure with one row per plane; the slices of a row fill the width."""
    heights = {}
    for plane in PLANE_AXES:
        width_mm, height_mm = layout.size_mm(plane)
        heights[plane] = FIGURE_WIDTH_INCHES * height_mm / width_mm
    total = TITLE_HEIGHT_INCHES + sum(heights.values()) + COLOUR_BAR_HEIGHT_INCHES
    figure = Figure(figsize=(FIGURE_WIDTH_INCHES, total), facecolor="white")
    figure.text(0.004, 1 - 0.06 / total, title, ha="left", va="top", fontweight="bold", fontsize=10)
    rows = {}
    bottom = total - TITLE_HEIGHT_INCHES
    for plane, height in heights.items():
        bottom -= height
        box = (0, bottom / total, 1, height / total)
        rows[plane] = figure.add_axes(box, xticks=[], yticks=[], facecolor="black")
        rows[plane].spines[:].set_visible(False)
    return figure, rows


def _draw_row(
    axes: Axes,
    layout: SliceLayout,
    plane: str,
    values: Float[np.ndarray, "x y z"],
    scale: ColourScale,
) -> None:
    """Draw the slices of one plane."""
    pixels = layout.tile_slices(np.where(layout.mask, values, np.nan), plane)
    colours = {"cmap": scale.cmap, "vmin": scale.low, "vmax": scale.high}
    _show_slices(axes, layout, plane, pixels, **colours)
    axes.set_facecolor(scale.background)
    if scale.background == "white":
        _draw_outline(axes, layout, plane, layout.mask, FAINT)
    if scale.contour_level is not None:
        is_above = layout.mask & (values > scale.contour_level)
        _draw_outline(axes, layout, plane, is_above, RED)
    _write_positions(axes, layout, plane, scale.text_colour)


def _show_slices(
    axes: Axes,
    layout: SliceLayout,
    plane: str,
    pixels: Float[np.ndarray, "v u *n"],
    **colours: Any,
) -> None:
    """Show slices with the aspect of the voxels, without blending them."""
    width, height = layout.size_mm(plane)
    axes.imshow(
        pixels,
        extent=(0, width, height, 0),
        aspect="auto",
        interpolation="nearest",
        interpolation_stage="data",
        **colours,
    )


def _draw_outline(
    axes: Axes, layout: SliceLayout, plane: str, region: Bool[np.ndarray, "x y z"], colour: str
) -> None:
    """Draw a line around voxels; there is none if they fill the whole row."""
    row = layout.tile_slices(region, plane).astype(np.float32)
    if not 0 < row.sum() < row.size:
        return
    width, height = layout.size_mm(plane)
    row_count, column_count = row.shape
    x = (np.arange(column_count) + 0.5) * width / column_count
    y = (np.arange(row_count) + 0.5) * height / row_count
    axes.contour(x, y, row, levels=[0.5], colors=colour, linewidths=OUTLINE_WIDTH_POINTS)


def _write_positions(axes: Axes, layout: SliceLayout, plane: str, colour: str) -> None:
    """Write the position of each slice in mm, and the sides of the first slice."""
    width, _ = layout.size_mm(plane)
    tile_width = width / len(layout.slices[plane])
    axis_name = "xyz"[PLANE_AXES[plane]]
    style: dict[str, Any] = {
        "color": colour,
        "fontsize": 6.5,
        "transform": axes.get_xaxis_transform(),
    }
    for index, position in enumerate(layout.positions_mm(plane)):
        x = (index + 0.03) * tile_width
        axes.text(x, 0.02, f"{axis_name} {position:.0f}", va="bottom", **style)
    left, right = PLANE_SIDES[plane]
    axes.text(0.03 * tile_width, 0.97, left, va="top", **style)
    axes.text(0.97 * tile_width, 0.97, right, va="top", ha="right", **style)


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
    if scale.contour_level is not None:
        bar.ax.axvline(scale.contour_level, color=RED, linewidth=2)
