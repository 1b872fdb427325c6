from __future__ import annotations

import numpy as np
import pytest
from nibabel.affines import apply_affine

from bids_shresnet.report.pictures.slices import PLANE_AXES, SLICE_COUNTS, SliceLayout

SHAPE = (12, 14, 10)
AFFINE = np.array([[2.0, 0.1, 0, -11], [-0.1, 2.0, 0, -13], [0, 0, 3.0, -15], [0, 0, 0, 1]])


def slice_layout() -> SliceLayout:
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
def test_right_and_anterior_are_on_the_left_and_anterior_and_superior_on_top(
    plane: str, up: tuple[int, int, int], left: tuple[int, int, int]
) -> None:
    indices = np.moveaxis(np.indices(SHAPE), 0, -1).astype(np.float32)
    layout = slice_layout()
    tiles = layout.tile_slices(indices, plane)
    first_tile = tiles[:, : tiles.shape[1] // len(layout.slices[plane])]
    assert (np.diff(first_tile @ np.array(up), axis=0) == -1).all()
    assert (np.diff(first_tile @ np.array(left), axis=1) == -1).all()


@pytest.mark.parametrize("plane", PLANE_AXES)
def test_slices_are_inside_the_brain(plane: str) -> None:
    layout = slice_layout()
    slabs = np.moveaxis(layout.mask, PLANE_AXES[plane], 0)
    has_brain = np.asarray(slabs.any(axis=(1, 2)))
    assert len(layout.slices[plane]) == SLICE_COUNTS[plane]
    assert has_brain[list(layout.slices[plane])].all()


@pytest.mark.parametrize("plane", PLANE_AXES)
def test_positions_are_those_of_the_affine_at_the_middle_of_the_grid(plane: str) -> None:
    layout = slice_layout()
    axis = PLANE_AXES[plane]
    for index, position in zip(layout.slices[plane], layout.positions_mm(plane), strict=True):
        point = (np.array(SHAPE) - 1) / 2
        point[axis] = index
        assert position == pytest.approx(apply_affine(AFFINE, point)[axis])


def test_the_shown_mask_is_the_brain_in_the_slices() -> None:
    layout = slice_layout()
    for plane, axis in PLANE_AXES.items():
        indices = list(layout.slices[plane])
        shown = np.moveaxis(layout.shown_mask, axis, 0)[indices]
        brain = np.moveaxis(layout.mask, axis, 0)[indices]
        assert (shown == brain).all()
    assert not layout.shown_mask[~layout.mask].any()


def test_an_empty_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="no brain to cut"):
        SliceLayout.from_mask(np.zeros(SHAPE, dtype=bool), AFFINE)
