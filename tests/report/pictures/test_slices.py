from __future__ import annotations

import numpy as np
import pytest
from nibabel.affines import apply_affine

from bids_shresnet.report.pictures.slices import PLANE_AXES, SLICE_COUNTS, SliceLayout

SHAPE = (12, 14, 10)
AFFINE = np.array([[2.0, 0.1, 0, -11], [-0.1, 2.0, 0, -13], [0, 0, 3.0, -15], [0, 0, 0, 1]])


def cut() -> SliceLayout:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[1:11, 1:13, 1:9] = True
    return SliceLayout.from_mask(mask, AFFINE)


@pytest.mark.parametrize(
    ("plane", "up", "left"),
    [
        ("axial", (0, 1, 0), (1, 0, 0)),
        ("coronal", (0, 0, 1), (1, 0, 0)),
        ("sagittal", (0, 0, 1), (0, 1, 0)),
    ],
)
def test_what_is_right_and_anterior_is_on_the_left_and_what_is_anterior_and_superior_is_on_top(
    plane: str, up: tuple[int, int, int], left: tuple[int, int, int]
) -> None:
    grid = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1).astype(np.float32)
    made = cut()
    first = made.tile_slices(grid, plane)
    tile = first[:, : first.shape[1] // len(made.slices[plane])]
    assert (np.diff(tile @ np.array(up), axis=0) == -1).all()
    assert (np.diff(tile @ np.array(left), axis=1) == -1).all()


def test_slices_are_inside_the_brain_and_their_places_are_those_of_the_affine() -> None:
    made = cut()
    for plane, axis in PLANE_AXES.items():
        assert len(made.slices[plane]) == SLICE_COUNTS[plane]
        middle = (np.array(SHAPE) - 1) / 2
        for index, place in zip(made.slices[plane], made.positions_mm(plane), strict=True):
            assert made.mask.any(axis=tuple({0, 1, 2} - {axis}))[index]
            assert place == pytest.approx(
                apply_affine(AFFINE, np.where(np.arange(3) == axis, index, middle))[axis]
            )


def test_voxels_that_are_seen_are_those_of_the_slices() -> None:
    made = cut()
    for plane, axis in PLANE_AXES.items():
        there = np.moveaxis(made.shown_mask, axis, 0)
        assert (
            there[list(made.slices[plane])]
            == np.moveaxis(made.mask, axis, 0)[list(made.slices[plane])]
        ).all()
    assert not made.shown_mask[~made.mask].any()


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="no brain to cut"):
        SliceLayout.from_mask(np.zeros(SHAPE, dtype=bool), AFFINE)
