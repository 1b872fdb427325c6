"""Maps of a brain as mosaics: axial, coronal and sagittal slices, the same for all maps of a scan, on one colour scale.

Radiological convention: the patient's right is on the left of a picture, anterior is on the left of sagittal slices.
Two mosaics of one scan lie pixel on pixel, so they can be flickered. Colour maps are matplotlib's that keep their order
in grey and for colour-blind readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Shaped
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from nibabel.affines import apply_affine, voxel_sizes

from bids_shresnet.files.drawing import FAINT, RED, Drawing, draw_pixels, style

PLANES: Mapping[str, tuple[int, int]] = {"axial": (2, 7), "coronal": (1, 7), "sagittal": (0, 6)}  # axis, slices
SIDES: Mapping[str, tuple[str, str]] = {"axial": ("R", "L"), "coronal": ("R", "L"), "sagittal": ("A", "P")}
OUTER = 0.12  # of the brain's extent that is left out at either end: little brain is to be seen there
MARGIN = 1  # voxels around the brain
WIDTH, TOP, BOTTOM = 10.0, 0.32, 0.55  # inches: of the figure, for the title, for the colour bar


@dataclass(frozen=True)
class Scale:
    """How values become colours, the same for all pictures that are to be compared.

    Attributes
    ----------
    label
        Of the colour bar: quantity and unit.
    cmap
        A name of matplotlib's; "gray" stands on black, all others on white with the brain's outline.
    mark
        Value to draw a line around.
    """

    low: float
    high: float
    label: str
    cmap: str = "gray"
    mark: float | None = None

    @property
    def background(self) -> str:
        """Of what is outside the brain."""
        return "black" if self.cmap == "gray" else "white"


@dataclass(frozen=True)
class Cut:
    """Where the brain of a scan is cut.

    Attributes
    ----------
    mask
        Brain, (x, y, z), as RAS as its grid can be.
    slices
        Indices by the name of the plane.
    box
        The part of the grid that holds the brain.
    """

    mask: Bool[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    slices: Mapping[str, tuple[int, ...]]
    box: tuple[slice, slice, slice]

    @classmethod
    def through(cls, mask: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]) -> Cut:
        """Evenly through a brain.

        Raises
        ------
        ValueError
            If the mask is empty.
        """
        if not mask.any():
            msg = "there is no brain to cut: the mask is empty"
            raise ValueError(msg)
        ends = [(int(found.min()), int(found.max())) for found in np.nonzero(mask)]
        x, y, z = (slice(max(0, low - MARGIN), high + MARGIN + 1) for low, high in ends)
        slices = {name: _evenly(*ends[axis], n) for name, (axis, n) in PLANES.items()}
        return cls(mask, affine, slices, (x, y, z))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the grid."""
        x, y, z = self.mask.shape
        return x, y, z

    @property
    def seen(self) -> Bool[np.ndarray, "x y z"]:
        """The brain's voxels that any picture shows."""
        planes = np.zeros_like(self.mask)
        for name, indices in self.slices.items():
            np.moveaxis(planes, PLANES[name][0], 0)[list(indices)] = True
        return np.asarray(planes & self.mask)

    def row(self, values: Shaped[np.ndarray, "x y z *n"], plane: str) -> Shaped[np.ndarray, "v u *n"]:
        """Slices of one plane side by side: rows from the top, columns from the left of the picture."""
        axis = PLANES[plane][0]
        within = tuple(slice(None) if one == axis else part for one, part in enumerate(self.box))
        slabs = np.moveaxis(values[within], axis, 0)[list(self.slices[plane])]
        return np.asarray(np.concatenate([np.swapaxes(slab[::-1, ::-1], 0, 1) for slab in slabs], axis=1))

    def size_mm(self, plane: str) -> tuple[float, float]:
        """Width and height of a row."""
        axis = PLANES[plane][0]
        width, height = (
            (part.stop - part.start) * size
            for one, (part, size) in enumerate(zip(self.box, voxel_sizes(self.affine), strict=True))
            if one != axis
        )
        return len(self.slices[plane]) * float(width), float(height)

    def positions_mm(self, plane: str) -> list[float]:
        """Where each slice is along its axis, at the middle of the grid."""
        axis, middle = PLANES[plane][0], (np.array(self.mask.shape) - 1) / 2
        points = np.stack([np.where(np.arange(3) == axis, index, middle) for index in self.slices[plane]])
        return [float(point[axis]) for point in apply_affine(self.affine, points)]


def mosaic(
    values: Float[np.ndarray, "x y z"], cut: Cut, scale: Scale, title: str, *, name: str, caption: str, alt: str
) -> Drawing:
    """Draw one map; outside the brain there is nothing."""
    with style():
        figure, rows = _frame(cut, title)
        inside = np.where(cut.mask, values, np.nan)
        for plane, axes in rows.items():
            colours: dict[str, Any] = {"cmap": scale.cmap, "vmin": scale.low, "vmax": scale.high}
            axes.imshow(cut.row(inside, plane), **_placed(cut, plane), **colours)
            axes.set_facecolor(scale.background)
            if scale.background == "white":
                _outline(axes, cut, plane, cut.mask, 0.5, FAINT)
            if scale.mark is not None:
                _outline(axes, cut, plane, np.where(cut.mask, values, -np.inf) > scale.mark, 0.5, RED)
            _write_places(axes, cut, plane, "white" if scale.background == "black" else "black")
        _colour_bar(figure, scale)
        return draw_pixels(figure, name, caption, alt, cmap=scale.cmap)


def colour_mosaic(
    directions: Float[np.ndarray, "x y z 3"],
    strength: Float[np.ndarray, "x y z"],
    cut: Cut,
    title: str,
    *,
    name: str,
    caption: str,
    alt: str,
) -> Drawing:
    """Draw directions (unit, along the world axes) as colours, as bright as their strength (0 to 1)."""
    with style():
        figure, rows = _frame(cut, title)
        shown = np.abs(directions) * np.clip(np.where(cut.mask, strength, 0), 0, 1)[..., None]
        for plane, axes in rows.items():
            axes.imshow(np.clip(cut.row(shown, plane), 0, 1), **_placed(cut, plane))
            _write_places(axes, cut, plane, "white")
        text = "red: left-right    green: anterior-posterior    blue: inferior-superior    brightness: FA"
        figure.text(0.5, 0.2 / figure.get_figheight(), text, ha="center", va="bottom")
        return draw_pixels(figure, name, caption, alt)


def _evenly(first: int, last: int, count: int) -> tuple[int, ...]:
    """Indices from one end to the other without the outermost part."""
    off = OUTER * (last - first)
    return tuple(int(index) for index in np.rint(np.linspace(first + off, last - off, count)))


def _frame(cut: Cut, title: str) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a row a plane, as high as its slices are if they fill the width."""
    heights = {plane: WIDTH * size[1] / size[0] for plane in PLANES for size in [cut.size_mm(plane)]}
    total = TOP + sum(heights.values()) + BOTTOM
    figure = Figure(figsize=(WIDTH, total), facecolor="white")
    figure.text(0.004, 1 - 0.06 / total, title, ha="left", va="top", fontweight="bold", fontsize=10)
    rows, top = {}, total - TOP
    for plane, height in heights.items():
        top -= height
        rows[plane] = figure.add_axes((0, top / total, 1, height / total), xticks=[], yticks=[], facecolor="black")
        rows[plane].spines[:].set_visible(False)
    return figure, rows


def _placed(cut: Cut, plane: str) -> dict[str, Any]:
    """Pixels as wide and high as the voxels are, never blended."""
    width, height = cut.size_mm(plane)
    return {
        "extent": (0, width, height, 0),
        "aspect": "auto",
        "interpolation": "nearest",
        "interpolation_stage": "data",
    }


def _outline(axes: Axes, cut: Cut, plane: str, inside: Bool[np.ndarray, "x y z"], width: float, colour: str) -> None:
    """A line around voxels; nothing where all or none of a row are inside."""
    row = cut.row(inside, plane).astype(np.float32)
    if 0 < row.sum() < row.size:
        size = cut.size_mm(plane)
        x, y = ((np.arange(n) + 0.5) * length / n for n, length in zip(row.shape[::-1], size, strict=True))
        axes.contour(x, y, row, levels=[0.5], colors=colour, linewidths=width)


def _write_places(axes: Axes, cut: Cut, plane: str, colour: str) -> None:
    """The slice's place in mm, and the sides of the first one."""
    width, _ = cut.size_mm(plane)
    tile = width / len(cut.slices[plane])
    look: dict[str, Any] = {"color": colour, "fontsize": 6.5, "transform": axes.get_xaxis_transform()}
    for index, place in enumerate(cut.positions_mm(plane)):
        axes.text((index + 0.03) * tile, 0.02, f"{'xyz'[PLANES[plane][0]]} {place:.0f}", va="bottom", **look)
    left, right = SIDES[plane]
    axes.text(0.03 * tile, 0.97, left, va="top", **look)
    axes.text(0.97 * tile, 0.97, right, va="top", ha="right", **look)


def _colour_bar(figure: Figure, scale: Scale) -> None:
    """Below the slices, with arrows because values beyond the ends get the colour of the ends."""
    height = figure.get_figheight()
    axes = figure.add_axes((0.25, 0.4 / height, 0.5, 0.1 / height))
    bar = figure.colorbar(
        ScalarMappable(Normalize(scale.low, scale.high), scale.cmap), cax=axes, orientation="horizontal", extend="both"
    )
    bar.ax.tick_params(labelsize=7.5, length=2, pad=1.5)
    bar.set_label(scale.label, fontsize=8.5, labelpad=1)
    if scale.mark is not None:
        bar.ax.axvline(scale.mark, color=RED, linewidth=2)
