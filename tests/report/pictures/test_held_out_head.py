from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.evaluation.held_out_slices import HeldOutSlices
from bids_shresnet.report.pictures.held_out_head import choose_typical_subject, draw_held_out_head
from tests.report.cross_validations import held_out_results
from tests.report.drawings import assert_is_described, assert_is_reproducible, png_pixels

ANISOTROPIC = (2.0, 2.0, 4.0)


def flat_slices(states: tuple[float, float, float]) -> HeldOutSlices:
    """A head of constant FA in each state, and empty rows at its borders."""
    planes = {}
    for plane, shape in {"axial": (20, 24), "coronal": (20, 16), "sagittal": (24, 16)}.items():
        values = np.full((3, 2, *shape), np.nan, np.float16)
        values[:, :, 2:-2, 2:-2] = np.reshape(states, (3, 1, 1, 1))
        values[:, 1] /= 1000
        planes[plane] = values
    return HeldOutSlices("07", planes, ANISOTROPIC)


@pytest.mark.parametrize("quantity", ["FA", "MD"])
def test_the_picture_is_described_and_reproducible(quantity: str) -> None:
    slices = flat_slices((0.2, 0.4, 0.4))
    drawing = draw_held_out_head(slices, quantity)
    assert_is_described(drawing)
    assert_is_reproducible(lambda: draw_held_out_head(slices, quantity))
    assert "sub-07" in drawing.caption


def test_a_difference_is_coloured_before_and_white_after_where_only_the_input_is_off() -> None:
    pixels = png_pixels(draw_held_out_head(flat_slices((0.2, 0.4, 0.4)), "FA").png)
    height, width = pixels.shape[:2]
    row = height // 6
    before, after = (pixels[row, round((column + 0.5) * width / 5)] for column in (3, 4))
    assert before[2] > before[0] + 0.2  # blue: lower than the target
    np.testing.assert_allclose(after, after.mean(), atol=0.02)
    assert after.mean() > 0.9


def test_the_subject_with_the_median_error_of_white_matter_fa_is_shown() -> None:
    assert choose_typical_subject(held_out_results({"shresnet": 0.1}, 5), "shresnet") == "02"
    assert choose_typical_subject(held_out_results({"shresnet": 0.1}, 4), "shresnet") == "01"
    assert choose_typical_subject((), "shresnet") == ""
