from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from jaxtyping import Float
from matplotlib.figure import Figure
from nibabel.affines import apply_affine

from bids_shresnet.report.pictures import mosaic
from bids_shresnet.report.pictures.mosaic import ColourScale, draw_direction_mosaic, draw_mosaic
from bids_shresnet.report.pictures.slices import PLANE_AXES
from bids_shresnet.report.style import Drawing, render_voxel_figure
from tests.report.drawings import png_pixels
from tests.report.pictures.test_slices import SHAPE, slice_layout

COLOUR_BAR_ROWS = 60
TITLE_ROWS = 60
MIN_BRAIN_FRACTION = 0.3  # of the picture; the brain fills half of it


def mosaic_pixels(
    values: Float[np.ndarray, "x y z"], scale: ColourScale
) -> Float[np.ndarray, "y x 3"]:
    drawing = draw_mosaic(
        values, slice_layout(), scale, "Map", name="map", caption="A map.", alt="Map"
    )
    return png_pixels(drawing.png)


def side_letters(figure: Figure, plane: str) -> str:
    """Letters in the row of a plane, from left to right; rows follow each other from the top."""
    letters = [text for text in figure.texts if text.get_text() in "LRPA"]
    heights = sorted({text.get_position()[1] for text in letters}, reverse=True)
    height = heights[list(PLANE_AXES).index(plane)]
    positions = {
        text.get_position()[0]: text.get_text()
        for text in letters
        if text.get_position()[1] == height
    }
    return "".join(letter for _, letter in sorted(positions.items()))


def colour_fraction(pixels: Float[np.ndarray, "y x 3"], colour: Float[np.ndarray, "3"]) -> float:
    """Share of pixels that have a colour."""
    return float((np.abs(pixels - colour).max(axis=2) < 0.02).mean())


@pytest.mark.slow
@pytest.mark.parametrize("cmap", ["gray", "viridis", "cividis", "RdBu_r"])
def test_a_value_has_the_colour_of_the_scale(cmap: str) -> None:
    scale = ColourScale(-1.0, 3.0, "value", cmap)
    pixels = mosaic_pixels(np.full(SHAPE, 2.0, np.float32), scale)
    colour = np.array(mpl.colormaps[cmap](0.75)[:3])
    assert colour_fraction(pixels, colour) > MIN_BRAIN_FRACTION


def test_two_maps_of_a_scan_match_pixel_by_pixel() -> None:
    scale = ColourScale(0.0, 1.0, "value")
    rng = np.random.default_rng(0)
    first = mosaic_pixels(rng.uniform(size=SHAPE).astype(np.float32), scale)
    second = mosaic_pixels(rng.uniform(size=SHAPE).astype(np.float32), scale)
    is_equal = (first == second).all(axis=2)
    assert is_equal[-COLOUR_BAR_ROWS:].all()
    assert not is_equal.all()


@pytest.mark.parametrize(("cmap", "background"), [("gray", 0.0), ("viridis", 1.0)])
def test_nan_is_drawn_as_background(cmap: str, background: float) -> None:
    pixels = mosaic_pixels(np.full(SHAPE, np.nan, np.float32), ColourScale(0.0, 1.0, "v", cmap))
    slices = pixels[TITLE_ROWS:-100]  # without the colour bar and its label
    is_background = np.abs(slices - background) < 0.01
    assert is_background.mean() > 0.95  # the rest is text and the outline


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_directions_along_the_axes_are_red_green_and_blue(axis: int) -> None:
    directions = np.zeros((*SHAPE, 3), np.float32)
    directions[..., axis] = -1  # the sign of a direction has no meaning
    strength = np.ones(SHAPE, np.float32)
    drawing = draw_direction_mosaic(
        directions, strength, slice_layout(), "Map", name="map", caption="A map.", alt="Map"
    )
    assert colour_fraction(png_pixels(drawing.png), np.eye(3)[axis]) > MIN_BRAIN_FRACTION


@pytest.mark.parametrize(
    ("plane", "axis", "names"),
    [("axial", 0, "LR"), ("coronal", 0, "LR"), ("sagittal", 1, "PA")],
)
def test_the_letters_of_the_first_slice_are_on_the_sides_that_they_name(
    plane: str, axis: int, names: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """World coordinates grow to the right and to anterior: those of the slice are the oracle."""
    figures: list[Figure] = []

    def keep(figure: Figure, *texts: str, cmap: str | None) -> Drawing:
        figures.append(figure)
        return render_voxel_figure(figure, *texts, cmap=cmap)

    monkeypatch.setattr(mosaic, "render_voxel_figure", keep)
    mosaic_pixels(np.zeros(SHAPE, np.float32), ColourScale(0.0, 1.0, "value"))
    layout = slice_layout()
    coordinates = apply_affine(layout.affine, np.moveaxis(np.indices(SHAPE), 0, -1))[..., axis]
    row = layout.tile_slices(coordinates, plane)
    first_slice = row[:, : row.shape[1] // len(layout.slices[plane])]
    is_growing = first_slice[:, -1].mean() > first_slice[:, 0].mean()
    assert side_letters(figures[0], plane) == (names if is_growing else names[::-1])


def test_the_head_stands_upright_below_the_axial_slices() -> None:
    """Brightness is the height: axial slices brighten to the right, sagittal ones to the top."""
    height = np.broadcast_to(np.linspace(0, 1, SHAPE[2], dtype=np.float32), SHAPE)
    pixels = mosaic_pixels(height, ColourScale(0.0, 1.0, "value"))[TITLE_ROWS:-100, :, 0]
    axial, coronal, sagittal = np.array_split(pixels, 3)
    for row in (coronal, sagittal):
        upper, lower = np.array_split(row, 2)
        assert upper[upper > 0].mean() > lower[lower > 0].mean() + 0.1
    left, right = np.array_split(axial, 2, axis=1)
    assert right[right > 0].mean() > left[left > 0].mean() + 0.1
