from __future__ import annotations

from io import BytesIO

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.image import imread

from bids_shresnet.report.pictures.mosaic import ColourScale, draw_direction_mosaic, draw_mosaic
from tests.report.pictures.test_slices import SHAPE, cut

WORDS = {"name": "map", "caption": "A map.", "alt": "Map"}


def pixels(png: bytes) -> np.ndarray:
    """Colours from 0 to 1, (y, x, 3)."""
    return imread(BytesIO(png))[..., :3]


@pytest.mark.parametrize("cmap", ["gray", "viridis", "cividis", "RdBu_r"])
def test_equal_values_have_the_colour_of_the_scale_in_all_pictures(cmap: str) -> None:
    scale = ColourScale(-1.0, 3.0, "value", cmap)
    picture = pixels(draw_mosaic(np.full(SHAPE, 2.0, np.float32), cut(), scale, "Map", **WORDS).png)
    wanted = np.array(mpl.colormaps[cmap](0.75)[:3])
    assert (
        np.abs(picture - wanted).max(axis=2) < 0.02
    ).mean() > 0.3  # the brain fills half of the picture


def test_two_maps_of_a_scan_lie_pixel_on_pixel() -> None:
    scale, rng = ColourScale(0.0, 1.0, "value"), np.random.default_rng(0)
    one, other = (
        pixels(
            draw_mosaic(
                rng.uniform(size=SHAPE).astype(np.float32), cut(), scale, "Map", **WORDS
            ).png
        )
        for _ in range(2)
    )
    same = (one == other).all(axis=2)
    assert one.shape == other.shape
    assert same[-60:].all()  # the colour bar
    assert not same.all()


def test_what_is_no_number_or_outside_the_brain_is_background() -> None:
    nothing = np.full(SHAPE, np.nan, np.float32)
    for scale, shade in (
        (ColourScale(0.0, 1.0, "v"), 0.0),
        (ColourScale(0.0, 1.0, "v", "viridis"), 1.0),
    ):
        picture = pixels(draw_mosaic(nothing, cut(), scale, "Map", **WORDS).png)[60:-100]
        assert (np.abs(picture - shade) < 0.01).mean() > 0.95  # the rest is text, and the outline


def test_directions_are_red_green_and_blue_along_the_axes() -> None:
    for axis in range(3):
        directions = np.zeros((*SHAPE, 3), np.float32)
        directions[..., axis] = -1  # an axis has no sign
        picture = pixels(
            draw_direction_mosaic(directions, np.ones(SHAPE, np.float32), cut(), "Map", **WORDS).png
        )
        assert (np.abs(picture - np.eye(3)[axis]).max(axis=2) < 0.02).mean() > 0.3
