from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from bids_shresnet.diffusion.spatial.interpolation import interpolate_grid, world_to_voxels
from bids_shresnet.diffusion.spatial.splatting import splat_values

SHAPE = (9, 8, 7)
LATTICE = np.argwhere(np.ones(SHAPE, bool)).astype(np.float64)
INTERIOR = (slice(3, -3),) * 3  # where the blur sees no end of the points


def field(voxels: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, "p 2"]:
    """Two linear fields."""
    return np.asarray(voxels @ np.array([[0.3, -1], [0.5, 2], [-0.2, 0.4]]) + np.array([1.0, -3]))


def test_a_constant_known_at_any_points_is_that_constant_wherever_they_reach() -> None:
    points = np.random.default_rng(0).uniform(0, 6, (400, 3))
    splatted = splat_values(points, np.full((400, 1), 0.7), SHAPE)
    np.testing.assert_allclose(splatted.grid[splatted.mask], 0.7, rtol=1e-6)
    np.testing.assert_array_equal(splatted.grid[~splatted.mask], 0)
    assert splatted.mask[:6, :6, :6].mean() > 0.8
    assert not splatted.mask[8].any()


@pytest.mark.parametrize("offset", [(0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.2, -0.7, 0.4)])
def test_a_linear_field_known_on_a_shifted_lattice_is_reproduced(
    offset: tuple[float, float, float],
) -> None:
    points = LATTICE + np.array(offset)
    splatted = splat_values(points, field(points), SHAPE)
    expected = field(LATTICE).reshape(*SHAPE, 2)
    np.testing.assert_allclose(splatted.grid[INTERIOR], expected[INTERIOR], atol=1e-5)


def rotated_lattice(
    spacing: float, size: int, rng: np.random.Generator
) -> Float[np.ndarray, "p 3"]:
    """Points of a lattice of any pose about the middle of a cube, and beyond its border."""
    count = int(2 * size / spacing)
    steps = np.argwhere(np.ones((count,) * 3, bool)) + rng.uniform(0, 1, 3) - count / 2
    points = Rotation.random(random_state=rng).apply(steps * spacing) + (size - 1) / 2
    return np.asarray(points[((points > -spacing) & (points < size - 1 + spacing)).all(axis=1)])


@pytest.mark.parametrize("spacing", [0.7, 1.0, 1.25, 1.5, 2.0, 3.0])
def test_heads_of_any_poses_reach_all_voxels_however_large_their_own_are(spacing: float) -> None:
    rng = np.random.default_rng(3)
    size = 24
    for _ in range(5):
        points = rotated_lattice(spacing, size, rng)
        splatted = splat_values(points, field(points), (size,) * 3)
        assert splatted.mask[2:-2, 2:-2, 2:-2].all()


@pytest.mark.parametrize("spacing", [1.0, 1.15])
def test_points_about_a_voxel_apart_are_blurred_by_half_a_voxel(spacing: float) -> None:
    """A single point among zeros becomes a tent that is blurred, here at its own voxel."""
    points = (LATTICE - 4) * spacing + 4
    values = (points == 4).all(axis=1)[:, None].astype(float)
    splatted = splat_values(points, np.concatenate([values, values], 1), SHAPE)
    kernel = np.zeros(SHAPE)
    kernel[4, 4, 4] = 1
    total = np.zeros(SHAPE)
    for point in points[((points > -1) & (points < np.array(SHAPE))).all(axis=1)]:
        total += np.maximum(1 - np.abs(LATTICE - point), 0).prod(axis=1).reshape(SHAPE)
    expected = gaussian_filter(kernel, 0.5)[4, 4, 4] / gaussian_filter(total, 0.5)[4, 4, 4]
    assert splatted.grid[4, 4, 4, 0] == pytest.approx(expected, rel=1e-6)


def test_points_that_are_far_apart_reach_no_farther_than_two_of_their_distances() -> None:
    points = 3 * np.argwhere(np.ones((4, 4, 4), bool)).astype(float)  # up to 9
    mask = splat_values(points, np.ones((64, 1)), (20, 20, 20)).mask
    assert mask[:10, :10, :10].all()
    assert not mask[16:].any()


def test_no_point_reaches_nothing() -> None:
    splatted = splat_values(np.empty((0, 3)), np.empty((0, 2)), SHAPE)
    assert not splatted.mask.any()
    assert splatted.grid.shape == (*SHAPE, 2)


def test_points_outside_the_grid_are_left_out() -> None:
    far = np.array([[-5.0, 2, 2], [3, 40, 3]])
    assert not splat_values(far, np.ones((2, 1)), SHAPE).mask.any()


def test_a_linear_field_is_looked_up_between_voxels_and_held_beyond_the_edge() -> None:
    grid = field(LATTICE).reshape(*SHAPE, 2)
    points = np.random.default_rng(1).uniform(0, 6, (50, 3))
    np.testing.assert_allclose(interpolate_grid(grid, points), field(points), atol=1e-5)
    np.testing.assert_allclose(
        interpolate_grid(grid, np.array([[-4.0, 2, 2]])), field(np.array([[0.0, 2, 2]])), atol=1e-5
    )


def test_a_map_without_channels_has_none_where_it_is_looked_up() -> None:
    assert interpolate_grid(np.ones(SHAPE), LATTICE[:5]).shape == (5,)


def test_voxels_are_where_the_affine_says() -> None:
    affine = np.array([[0.0, -2, 0, 5], [3, 0, 0, -4], [0, 0, 2.5, 1], [0, 0, 0, 1]])
    points = LATTICE @ affine[:3, :3].T + affine[:3, 3]
    np.testing.assert_allclose(world_to_voxels(points, affine), LATTICE, atol=1e-12)
