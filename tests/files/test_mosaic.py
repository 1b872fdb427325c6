from __future__ import annotations

from io import BytesIO

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread
from nibabel.affines import apply_affine

from bids_shresnet.files.mosaic import PLANES, Cut, Scale, colour_mosaic, mosaic

SHAPE = (12, 14, 10)
AFFINE = np.array([[2.0, 0.1, 0, -11], [-0.1, 2.0, 0, -13], [0, 0, 3.0, -15], [0, 0, 0, 1]])
WORDS = {"name": "map", "caption": "A map.", "alt": "Map"}


def cut() -> Cut:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:11, 1:13, 1:9] = True
    return Cut.through(mask, AFFINE)


def pixels(png: bytes) -> np.ndarray:
    """Colours from 0 to 1, (y, x, 3)."""
    return imread(BytesIO(png))[..., :3]


@pytest.mark.parametrize(
    ("plane", "up", "left"),
    [("axial", (0, 1, 0), (1, 0, 0)), ("coronal", (0, 0, 1), (1, 0, 0)), ("sagittal", (0, 0, 1), (0, 1, 0))],
)
def test_what_is_right_and_anterior_is_on_the_left_and_what_is_anterior_and_superior_is_on_top(
    plane: str, up: tuple[int, int, int], left: tuple[int, int, int]
) -> None:
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).astype(np.float32)
    made = cut()
    first = made.row(grid, plane)
    tile = first[:, : first.shape[1] // len(made.slices[plane])]
    assert (np.diff(tile @ np.array(up), axis=0) == -1).all()
    assert (np.diff(tile @ np.array(left), axis=1) == -1).all()


def test_slices_are_inside_the_brain_and_their_places_are_those_of_the_affine() -> None:
    made = cut()
    for plane, (axis, count) in PLANES.items():
        assert len(made.slices[plane]) == count
        middle = (np.array(SHAPE) - 1) / 2
        for index, place in zip(made.slices[plane], made.positions_mm(plane), strict=True):
            assert made.mask.any(axis=tuple({0, 1, 2} - {axis}))[index]
            assert place == pytest.approx(apply_affine(AFFINE, np.where(np.arange(3) == axis, index, middle))[axis])


def test_voxels_that_are_seen_are_those_of_the_slices() -> None:
    made = cut()
    for plane, (axis, _) in PLANES.items():
        there = np.moveaxis(made.seen, axis, 0)
        assert (there[list(made.slices[plane])] == np.moveaxis(made.mask, axis, 0)[list(made.slices[plane])]).all()
    assert not made.seen[~made.mask].any()


@pytest.mark.parametrize("cmap", ["gray", "viridis", "cividis", "RdBu_r"])
def test_equal_values_have_the_colour_of_the_scale_in_all_pictures(cmap: str) -> None:
    scale = Scale(-1.0, 3.0, "value", cmap)
    picture = pixels(mosaic(np.full(SHAPE, 2.0, np.float32), cut(), scale, "Map", **WORDS).png)
    wanted = np.array(mpl.colormaps[cmap](0.75)[:3])
    assert (np.abs(picture - wanted).max(axis=2) < 0.02).mean() > 0.3  # the brain fills half of the picture


def test_two_maps_of_a_scan_lie_pixel_on_pixel() -> None:
    scale, rng = Scale(0.0, 1.0, "value"), np.random.default_rng(0)
    one, other = (
        pixels(mosaic(rng.uniform(size=SHAPE).astype(np.float32), cut(), scale, "Map", **WORDS).png) for _ in range(2)
    )
    same = (one == other).all(axis=2)
    assert one.shape == other.shape
    assert same[-60:].all()  # the colour bar
    assert not same.all()


def test_what_is_no_number_or_outside_the_brain_is_background() -> None:
    nothing = np.full(SHAPE, np.nan, np.float32)
    for scale, shade in ((Scale(0.0, 1.0, "v"), 0.0), (Scale(0.0, 1.0, "v", "viridis"), 1.0)):
        picture = pixels(mosaic(nothing, cut(), scale, "Map", **WORDS).png)[60:-100]
        assert (np.abs(picture - shade) < 0.01).mean() > 0.95  # the rest is text, and the outline


def test_directions_are_red_green_and_blue_along_the_axes() -> None:
    for axis in range(3):
        directions = np.zeros((*SHAPE, 3), np.float32)
        directions[..., axis] = -1  # an axis has no sign
        picture = pixels(colour_mosaic(directions, np.ones(SHAPE, np.float32), cut(), "Map", **WORDS).png)
        assert (np.abs(picture - np.eye(3)[axis]).max(axis=2) < 0.02).mean() > 0.3


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="no brain to cut"):
        Cut.through(np.zeros(SHAPE, dtype=bool), AFFINE)
