"""One held-out subject on the group page: FA and MD before, after and of the target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from bids_shresnet.evaluation.held_out_slices import SLICE_STATES, SLICED_AXES, HeldOutSlices
from bids_shresnet.evaluation.results import MAP_QUANTITIES, HeldOutResult
from bids_shresnet.report.page import MINUS
from bids_shresnet.report.pictures.mosaic import PLANE_SIDES, ColourScale
from bids_shresnet.report.pictures.panels import FA_SCALE, MD_SCALE
from bids_shresnet.report.style import DISPLAY_FACTORS, Drawing, figure_style, render_voxel_figure

SCALES = {"FA": FA_SCALE, "MD": MD_SCALE}
DIFFERENCE_ENDS = {"FA": 0.3, "MD": 0.5}  # of the scales of differences; MD in 10^-3 mm2/s
DIFFERENCE_CMAP = "RdBu_r"
WIDTH_INCHES = 10.0
BAR_INCHES = 0.75  # for the colour bars
TITLE_INCHES = 0.3
CHOICE_ENDPOINT = ("WM", "FA")  # the error by which the subject is chosen


def choose_typical_subject(rows: Sequence[HeldOutResult], method: str) -> str:
    """Return the subject with the median error of white-matter FA, the lower of two."""
    errors = {
        row.subject: row.nmse
        for row in rows
        if row.method == method and (row.tissue, row.quantity) == CHOICE_ENDPOINT
    }
    ordered = sorted(errors, key=lambda subject: errors[subject])
    return ordered[(len(ordered) - 1) // 2] if ordered else ""


def draw_held_out_head(slices: HeldOutSlices, quantity: str) -> Drawing:
    """Draw FA or MD of a subject in three planes, with the differences from the target."""
    factor = DISPLAY_FACTORS[quantity]
    index = MAP_QUANTITIES.index(quantity)
    planes = {plane: _orient(factor * values[:, index]) for plane, values in slices.planes.items()}
    scale = SCALES[quantity]
    end = DIFFERENCE_ENDS[quantity]
    difference_scale = ColourScale(-end, end, f"difference of {scale.label}", DIFFERENCE_CMAP)
    with figure_style():
        figure = _draw_planes(slices, planes, scale, difference_scale)
        return render_voxel_figure(
            figure, f"head{quantity.capitalize()}", _caption(slices, quantity), _alt(quantity)
        )


def _orient(
    values: Float[np.ndarray, "state a b"],
) -> Float[np.ndarray, "state b a"]:
    """Turn slices to rows from the top of the picture, columns from its left."""
    return np.swapaxes(values[:, ::-1, ::-1], 1, 2).astype(np.float32)


def _draw_planes(
    slices: HeldOutSlices,
    planes: dict[str, Float[np.ndarray, "state v u"]],
    scale: ColourScale,
    difference_scale: ColourScale,
) -> Figure:
    """Draw one row per plane: three maps, and two differences."""
    columns = len(SLICE_STATES) + 2
    heights = [_relative_height(slices, plane, values) for plane, values in planes.items()]
    drawn_inches = WIDTH_INCHES / columns * sum(heights)
    total = drawn_inches + BAR_INCHES + TITLE_INCHES
    figure = Figure(figsize=(WIDTH_INCHES, total), facecolor="white")
    grid = figure.add_gridspec(
        len(planes),
        columns,
        height_ratios=heights,
        left=0,
        right=1,
        bottom=BAR_INCHES / total,
        top=1 - TITLE_INCHES / total,
        wspace=0.02,
        hspace=0.02,
    )
    for row, (plane, values) in enumerate(planes.items()):
        pictures = _label_pictures(values, scale, difference_scale)
        for column, (title, picture, picture_scale) in enumerate(pictures):
            axes = figure.add_subplot(grid[row, column])
            _draw_slice(axes, picture, picture_scale, _aspect(slices, plane))
            if row == 0:
                axes.set_title(title, fontsize=9, fontweight="bold", pad=3)
            if column == 0:
                _write_sides(axes, plane)
    _add_bar(figure, scale, (0.12, total))
    _add_bar(figure, difference_scale, (0.68, total))
    return figure


def _label_pictures(
    values: Float[np.ndarray, "state v u"], scale: ColourScale, difference_scale: ColourScale
) -> list[tuple[str, Float[np.ndarray, "v u"], ColourScale]]:
    pictures = [
        (state, picture, scale) for state, picture in zip(SLICE_STATES, values, strict=True)
    ]
    target = values[-1]
    for state, picture in zip(SLICE_STATES[:-1], values[:-1], strict=True):
        pictures.append((f"{state} {MINUS} target", picture - target, difference_scale))
    return pictures


def _draw_slice(
    axes: Axes, values: Float[np.ndarray, "v u"], scale: ColourScale, aspect: float
) -> None:
    axes.imshow(scale.colour(values), aspect=aspect, interpolation="nearest")
    axes.set_axis_off()


def _write_sides(axes: Axes, plane: str) -> None:
    left, right = PLANE_SIDES[plane]
    style: dict[str, Any] = {"color": "white", "fontsize": 7, "transform": axes.transAxes}
    axes.text(0.03, 0.96, left, va="top", **style)
    axes.text(0.97, 0.96, right, va="top", ha="right", **style)


def _add_bar(figure: Figure, scale: ColourScale, place: tuple[float, float]) -> None:
    """Add a colour bar; `place` is its left end, and the height of the figure in inches."""
    left, total = place
    bar = figure.colorbar(
        ScalarMappable(Normalize(scale.low, scale.high), scale.cmap),
        cax=figure.add_axes((left, 0.45 / total, 0.24, 0.1 / total)),
        orientation="horizontal",
        extend="both",
    )
    bar.ax.tick_params(labelsize=7.5, length=2, pad=1.5)
    bar.set_label(scale.label, fontsize=8.5, labelpad=1)


def _aspect(slices: HeldOutSlices, plane: str) -> float:
    """Height of a voxel over its width, in the picture."""
    width, height = np.delete(slices.spacing, SLICED_AXES[plane])
    return float(height / width)


def _relative_height(
    slices: HeldOutSlices, plane: str, values: Float[np.ndarray, "state v u"]
) -> float:
    """Height of a slice over its width."""
    height, width = values.shape[1:]
    return float(_aspect(slices, plane) * height / width)


def _caption(slices: HeldOutSlices, quantity: str) -> str:
    return (
        f"{quantity} of sub-{slices.subject}, harmonized by the network that held it out. Of all "
        "held-out subjects it has the median error of white-matter FA. Each row is the middle "
        "slice of a plane; patient's right is on the left. Grey and white matter that both "
        "scanners measured; target: the nearest measured voxel after registration. "
        "Differences: white is none, red is higher than the target."
    )


def _alt(quantity: str) -> str:
    return f"{quantity} of a held-out subject before, after and of the target, with differences"
