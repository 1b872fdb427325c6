"""Maps of a brain as mosaics: axial, coronal and sagittal slices, the same for all maps of a scan, on one colour scale.

Two mosaics of one scan lie pixel on pixel, so they can be flickered. Colour maps are matplotlib's that keep their order
in grey and for colour-blind readers.
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

from bids_shresnet.report.pictures.slices import PLANES, SliceLayout
from bids_shresnet.report.style import FAINT, RED, Drawing, figure_style, render_voxel_figure

PLANE_SIDES: Mapping[str, tuple[str, str]] = {
    "axial": ("R", "L"),
    "coronal": ("R", "L"),
    "sagittal": ("A", "P"),
}
FIGURE_WIDTH_INCHES, TITLE_HEIGHT_INCHES, COLOUR_BAR_HEIGHT_INCHES = (
    10.0,
    0.32,
    0.55,
)  # inches: of the figure, for the title, for the colour bar


@dataclass(frozen=True)
class ColourScale:
    """How values become colours, the same for all pictures that are to be compared.

    Attributes
    ----------
    label
        Of the colour bar: quantity and unit.
    cmap
        A name of matplotlib's; "gray" stands on black, all others on white with the brain's outline.
    contour_level
        Value to draw a line around.
    """

    low: float
    high: float
    label: str
    cmap: str = "gray"
    contour_level: float | None = None

    @property
    def background(self) -> str:
        """Of what is outside the brain."""
        return "black" if self.cmap == "gray" else "white"


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
    """Draw one map; outside the brain there is nothing."""
    with figure_style():
        figure, rows = _make_figure(layout, title)
        inside = np.where(layout.mask, values, np.nan)
        for plane, axes in rows.items():
            colours: dict[str, Any] = {"cmap": scale.cmap, "vmin": scale.low, "vmax": scale.high}
            axes.imshow(
                layout.tile_slices(inside, plane), **_imshow_options(layout, plane), **colours
            )
            axes.set_facecolor(scale.background)
            if scale.background == "white":
                _draw_outline(axes, layout, plane, layout.mask, 0.5, FAINT)
            if scale.contour_level is not None:
                _draw_outline(
                    axes,
                    layout,
                    plane,
                    np.where(layout.mask, values, -np.inf) > scale.contour_level,
                    0.5,
                    RED,
                )
            _write_positions(
                axes, layout, plane, "white" if scale.background == "black" else "black"
            )
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
    """Draw directions (unit, along the world axes) as colours, as bright as their strength (0 to 1)."""
    with figure_style():
        figure, rows = _make_figure(layout, title)
        shown = np.abs(directions) * np.clip(np.where(layout.mask, strength, 0), 0, 1)[..., None]
        for plane, axes in rows.items():
            axes.imshow(
                np.clip(layout.tile_slices(shown, plane), 0, 1), **_imshow_options(layout, plane)
            )
            _write_positions(axes, layout, plane, "white")
        text = "red: left-right    green: anterior-posterior    blue: inferior-superior    brightness: FA"
        figure.text(0.5, 0.2 / figure.get_figheight(), text, ha="center", va="bottom")
        return render_voxel_figure(figure, name, caption, alt)


def _make_figure(layout: SliceLayout, title: str) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a row a plane, as high as its slices are if they fill the width."""
    heights = {
        plane: FIGURE_WIDTH_INCHES * size[1] / size[0]
        for plane in PLANES
        for size in [layout.size_mm(plane)]
    }
    total = TITLE_HEIGHT_INCHES + sum(heights.values()) + COLOUR_BAR_HEIGHT_INCHES
    figure = Figure(figsize=(FIGURE_WIDTH_INCHES, total), facecolor="white")
    figure.text(0.004, 1 - 0.06 / total, title, ha="left", va="top", fontweight="bold", fontsize=10)
    rows, top = {}, total - TITLE_HEIGHT_INCHES
    for plane, height in heights.items():
        top -= height
        rows[plane] = figure.add_axes(
            (0, top / total, 1, height / total), xticks=[], yticks=[], facecolor="black"
        )
        rows[plane].spines[:].set_visible(False)
    return figure, rows


def _imshow_options(layout: SliceLayout, plane: str) -> dict[str, Any]:
    """Pixels as wide and high as the voxels are, never blended."""
    width, height = layout.size_mm(plane)
    return {
        "extent": (0, width, height, 0),
        "aspect": "auto",
        "interpolation": "nearest",
        "interpolation_stage": "data",
    }


def _draw_outline(
    axes: Axes,
    layout: SliceLayout,
    plane: str,
    inside: Bool[np.ndarray, "x y z"],
    width: float,
    colour: str,
) -> None:
    """A line around voxels; nothing where all or none of a row are inside."""
    row = layout.tile_slices(inside, plane).astype(np.float32)
    if 0 < row.sum() < row.size:
        size = layout.size_mm(plane)
        x, y = (
            (np.arange(n) + 0.5) * length / n
            for n, length in zip(row.shape[::-1], size, strict=True)
        )
        axes.contour(x, y, row, levels=[0.5], colors=colour, linewidths=width)


def _write_positions(axes: Axes, layout: SliceLayout, plane: str, colour: str) -> None:
    """The slice's place in mm, and the sides of the first one."""
    width, _ = layout.size_mm(plane)
    tile = width / len(layout.slices[plane])
    look: dict[str, Any] = {
        "color": colour,
        "fontsize": 6.5,
        "transform": axes.get_xaxis_transform(),
    }
    for index, place in enumerate(layout.positions_mm(plane)):
        axes.text(
            (index + 0.03) * tile,
            0.02,
            f"{'xyz'[PLANES[plane][0]]} {place:.0f}",
            va="bottom",
            **look,
        )
    left, right = PLANE_SIDES[plane]
    axes.text(0.03 * tile, 0.97, left, va="top", **look)
    axes.text(0.97 * tile, 0.97, right, va="top", ha="right", **look)


def _add_colour_bar(figure: Figure, scale: ColourScale) -> None:
    """Below the slices, with arrows because values beyond the ends get the colour of the ends."""
    height = figure.get_figheight()
    axes = figure.add_axes((0.25, 0.4 / height, 0.5, 0.1 / height))
    bar = figure.colorbar(
        ScalarMappable(Normalize(scale.low, scale.high), scale.cmap),
        cax=axes,
        orientation="horizontal",
        extend="both",
    )
    bar.ax.tick_params(labelsize=7.5, length=2, pad=1.5)
    bar.set_label(scale.label, fontsize=8.5, labelpad=1)
    if scale.contour_level is not None:
        bar.ax.axvline(scale.contour_level, color=RED, linewidth=2)
