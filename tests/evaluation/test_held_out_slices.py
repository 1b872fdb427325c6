from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.evaluation.held_out_slices import (
    SLICED_AXES,
    HeldOutSlices,
    cut_slices,
    read_slices,
    write_slices,
)
from tests.methods.heads import GRID, head

STATE_QUANTITY_SHAPE = (3, 2)


def position_maps(points: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, "v state quantity"]:
    """Maps that hold the position of each point: x, y and z are those of the states."""
    return np.repeat(points[:, :, None], 2, axis=2).astype(np.float32)


def slices_of_head(subject: str = "01") -> HeldOutSlices:
    """Slices of maps that hold the position of each voxel, mm."""
    image = head(0)
    points = 2.0 * np.argwhere(image.mask)  # AFFINE: voxels of 2 mm
    return cut_slices(subject, image, points, position_maps(points))


def test_each_voxel_of_a_slice_shows_the_matched_voxel_at_its_place() -> None:
    for plane, axis in SLICED_AXES.items():
        values = slices_of_head().planes[plane]
        shape = np.delete(GRID, axis)
        assert values.shape == (*STATE_QUANTITY_SHAPE, *shape)
        first, second = np.delete([0, 1, 2], axis)
        a, b = 2.0 * np.indices(tuple(shape))
        inside = ~np.isnan(values[0, 0])
        assert inside.sum() > 20
        np.testing.assert_array_equal(values[first, 0][inside], a[inside])
        np.testing.assert_array_equal(values[second, 1][inside], b[inside])
        assert len(np.unique(values[axis, 0][inside])) == 1


def test_a_place_without_a_matched_voxel_nearby_is_empty() -> None:
    image = head(0)
    points = 2.0 * np.argwhere(image.mask)
    points = points[points[:, 0] >= 8.0]
    values = cut_slices("01", image, points, position_maps(points)).planes["axial"][0, 0]
    assert np.isnan(values[:4]).all()  # x = 8 mm is at index 4
    assert not np.isnan(values[4:9, 1:9]).any()


def test_slices_are_read_as_they_were_written(tmp_path: Path) -> None:
    written = (slices_of_head("01"), slices_of_head("2x"))
    write_slices(tmp_path / "slices.safetensors", written)
    read = read_slices(tmp_path / "slices.safetensors")
    assert [item.subject for item in read] == ["01", "2x"]
    assert read[0].spacing == written[0].spacing == (2.0, 2.0, 2.0)
    for plane in SLICED_AXES:
        np.testing.assert_array_equal(read[1].planes[plane], written[1].planes[plane])
    assert read_slices(tmp_path / "missing.safetensors") == ()
