from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from jaxtyping import Float
from scipy.interpolate import CubicSpline
from scipy.ndimage import map_coordinates

from bids_shresnet.diffusion.spatial.interpolation import (
    PATCH_STEPS,
    has_signal_around,
    sample_image,
    sample_inside,
    sample_patches,
)
from bids_shresnet.network.patches import CENTRE_INDEX, cut_patches, patches_to_rows
from bids_shresnet.scans import Shell, ShImage
from tests.diffusion.heads import turn

GRID = (12, 13, 14)
SHELL = (Shell(1000.0, 2),)
HALF = 2.0**-11  # relative rounding of half precision
MIDDLE = np.array([6, 6, 7])


def oblique() -> Float[np.ndarray, "4 4"]:
    affine = np.eye(4)
    affine[:3, :3] = turn(12, -7, 20) @ np.diag([2.0, 2.5, 3.0])
    affine[:3, 3] = [-31.7, 14.2, 8.9]
    return affine


def image(
    coefficients: Float[np.ndarray, "x y z c"],
    affine: Float[np.ndarray, "4 4"] | None = None,
    contrast: Float[np.ndarray, "x y z"] | None = None,
) -> ShImage:
    affine = oblique() if affine is None else affine
    contrast = np.zeros(GRID) if contrast is None else contrast
    return ShImage(
        coefficients.astype(np.float32),
        np.ones(GRID, bool),
        affine,
        SHELL,
        contrast.astype(np.float32),
    )


def noise() -> Float[np.ndarray, "x y z 6"]:
    return np.random.default_rng(0).uniform(-1, 1, (*GRID, 6))


def world(
    voxels: Float[np.ndarray, "p 3"], affine: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "p 3"]:
    return np.asarray(voxels @ affine[:3, :3].T + affine[:3, 3])


@pytest.mark.parametrize(
    "affine",
    [
        pytest.param(np.eye(4), id="unit"),
        pytest.param(np.diag([2.0, 2.0, 3.0, 1.0]), id="anisotropic"),
        pytest.param(oblique(), id="oblique"),
    ],
)
def test_patch_at_a_voxel_is_what_the_network_cuts_there(affine: np.ndarray) -> None:
    voxels = np.stack(np.meshgrid(*(np.arange(n) for n in GRID), indexing="ij"), -1).reshape(-1, 3)
    sh_image = image(noise(), affine, noise()[..., 2])
    sampled = sample_patches(sh_image, world(voxels.astype(float), affine))
    expected = patches_to_rows(
        cut_patches(torch.from_numpy(sh_image.channels), torch.from_numpy(voxels))
    ).numpy()
    np.testing.assert_allclose(sampled, expected, atol=HALF + 1e-4)


def test_neighbours_are_one_voxel_away_along_the_images_own_axes_x_slowest() -> None:
    numbers = np.zeros((*GRID, 6))
    numbers[..., :3] = np.moveaxis(np.indices(GRID), 0, -1)
    patch = sample_patches(image(numbers), world(MIDDLE[None].astype(float), oblique()))[0, :, :3]
    steps = list(product((-1, 0, 1), repeat=3))
    np.testing.assert_allclose(patch, MIDDLE + np.array(steps), atol=16 * HALF)


def interpolate_along(
    axis: int, values: Float[np.ndarray, "..."], positions: Float[np.ndarray, " p"]
) -> Float[np.ndarray, "..."]:
    """The cubic spline that is flat at the ends, as if the image went on mirrored."""
    return np.asarray(
        CubicSpline(np.arange(values.shape[axis]), values, axis=axis, bc_type="clamped")(positions)
    )


def test_between_voxels_lies_scipys_cubic_spline() -> None:
    """As a product of three splines in one dimension, one neighbour after the other."""
    inside = np.random.default_rng(1).uniform(1, np.array(GRID) - 2, (4, 3))
    sampled = sample_patches(image(noise(), contrast=noise()[..., 0]), world(inside, oblique()))
    channels = np.concatenate([noise(), noise()[..., :1]], axis=3)
    for position, patch in zip(inside, sampled.reshape(4, 3, 3, 3, 7), strict=True):
        x, y, z = position[:, None] + [-1, 0, 1]
        along_x = interpolate_along(0, channels, x)
        along_xy = interpolate_along(1, along_x, y)
        expected = interpolate_along(2, along_xy, z)
        np.testing.assert_allclose(patch, expected, atol=2 * HALF)


def test_a_smooth_image_is_known_between_its_voxels_to_a_thousandth() -> None:
    """A wave of 8 voxels: a straight line between its samples would be off by up to 0.08."""
    x = np.broadcast_to(np.arange(GRID[0])[:, None, None, None], (*GRID, 6))
    wave = np.cos(2 * np.pi * x / 11)  # flat at both ends
    middle = np.random.default_rng(1).uniform(4, 8, (50, 3))
    samples = sample_image(wave, np.eye(4), middle)
    np.testing.assert_allclose(
        samples, np.cos(2 * np.pi * middle[:, :1] / 11).repeat(6, axis=1), atol=2e-3
    )


def test_a_sample_is_the_centre_of_the_patch_there() -> None:
    points = world(np.random.default_rng(1).uniform(-2, np.array(GRID) + 1, (60, 3)), oblique())
    sh_image = image(noise())
    samples = sample_image(sh_image.channels, sh_image.affine, points)
    np.testing.assert_allclose(samples, sample_patches(sh_image, points)[:, 13], atol=2 * HALF)


def test_a_sample_at_a_voxel_is_its_value_to_all_digits() -> None:
    voxels = np.moveaxis(np.indices(GRID), 0, -1).reshape(-1, 3)
    samples = sample_image(noise(), oblique(), world(voxels.astype(float), oblique()))
    np.testing.assert_allclose(samples, noise().reshape(-1, 6), atol=1e-5)


def test_patches_have_the_values_that_scipy_finds_one_by_one_also_at_the_edge() -> None:
    """More points than a chunk has, some of them outside."""
    rng = np.random.default_rng(3)
    centres = rng.uniform(-2, np.array(GRID) + 1, (1500, 3)).round(6)
    sh_image = image(noise(), np.eye(4))
    sampled = sample_patches(sh_image, centres)
    positions = (centres[:, None] + PATCH_STEPS).reshape(-1, 3).T
    for channel in range(6):
        expected = map_coordinates(noise()[..., channel], positions, order=3)
        np.testing.assert_allclose(
            sampled[..., channel].ravel(), expected, rtol=HALF, atol=HALF / 10
        )


def test_outside_the_image_is_zero() -> None:
    far = world(np.array([[-5.0, 6, 7], [6, 20, 7], [6, 6, 99]]), oblique())
    np.testing.assert_array_equal(sample_patches(image(noise()), far), 0)
    np.testing.assert_array_equal(sample_image(noise(), oblique(), far), 0)


def test_image_without_points_gives_no_patches() -> None:
    assert sample_patches(image(noise()), np.empty((0, 3))).shape == (0, 27, 7)
    assert sample_image(noise(), oblique(), np.empty((0, 3))).shape == (0, 6)


def test_a_point_is_surrounded_if_every_voxel_that_bears_on_it_holds_signal() -> None:
    """A box of brain, in voxels of 2 mm, with one voxel without signal."""
    mask = np.zeros((6, 6, 6), dtype=bool)
    mask[1:5, 1:5, 1:5] = True
    coefficients = np.where(mask, 1.0, 0.0)[..., None].astype(np.float32)
    coefficients[4, 4, 4] = 0
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    image = ShImage(
        coefficients, mask, affine, (Shell(1000.0, 0),), np.zeros(mask.shape, np.float32)
    )
    cases = {
        (2, 2, 2): True,
        (1, 1, 1): True,  # on a voxel nothing else bears on it
        (1.5, 2, 2): True,
        (0.9, 2, 2): False,  # leans on what is not brain
        (4.1, 2, 2): False,
        (3.5, 3.5, 3.5): False,  # leans on the voxel without signal
        (3.5, 3.5, 3): True,
        (9, 2, 2): False,
    }
    has_signal = has_signal_around(image, 2.0 * np.array(list(cases)))
    assert has_signal.tolist() == list(cases.values())


def noise_kept(offsets: Float[np.ndarray, "p 3"]) -> float:
    """Variance that is left of noise of variance 1 in patches at these distances from voxels."""
    rng = np.random.default_rng(0)
    coefficients = rng.standard_normal((*GRID, 6))
    voxels = rng.integers(4, np.array(GRID) - 4, offsets.shape) + offsets
    patches = sample_patches(image(coefficients), world(voxels, oblique()))
    return float(patches[:, CENTRE_INDEX, :6].astype(np.float64).var())


def random_offsets() -> Float[np.ndarray, "p 3"]:
    return np.random.default_rng(1).uniform(-0.5, 0.5, (20_000, 3))


@pytest.mark.slow
def test_at_points_anywhere_noise_is_reduced_as_by_the_cardinal_cubic_spline() -> None:
    """Its weights are those of an interpolated 1 among zeros; noise adds up by their squares."""
    knots = np.arange(-15, 16)
    cardinal = CubicSpline(knots, knots == 0)
    distances = np.linspace(-0.5, 0.5, 1001)
    energy = sum(cardinal(distances + step) ** 2 for step in range(-12, 13)).mean()
    assert noise_kept(random_offsets()) == pytest.approx(energy**3, rel=0.05)


def test_within_a_quarter_voxel_noise_is_nearly_that_of_the_voxels() -> None:
    offsets = random_offsets()
    near = offsets[np.linalg.norm(offsets, axis=1) <= 0.25]
    assert 0.85 < noise_kept(near) < 1.1


def test_what_lies_outside_a_mask_does_not_change_samples_inside() -> None:
    """A constant stays one up to the mask's edge, where zeros around it would pull it down."""
    mask = np.zeros(GRID, bool)
    mask[3:8, 3:8, 3:8] = True
    constant = np.where(mask[..., None], 0.7, 0.0)
    points = np.random.default_rng(2).uniform(3, 7, (40, 3))
    inside = sample_inside(constant, mask, np.eye(4), points)
    np.testing.assert_allclose(inside, 0.7, rtol=1e-6)
    assert sample_image(constant, np.eye(4), points).min() < 0.69
    noisy = np.where(mask[..., None], noise(), 1e6)
    clean = np.where(mask[..., None], noise(), 0)
    np.testing.assert_array_equal(
        sample_inside(noisy, mask, np.eye(4), points), sample_inside(clean, mask, np.eye(4), points)
    )


def test_a_point_outside_the_image_has_the_value_of_the_nearest_one_inside() -> None:
    mask = np.ones(GRID, bool)
    outside = np.array([[-0.4, 6.0, 7.0], [11.4, 13.0, 7.0], [6.0, 6.0, 99.0]])
    nearest = np.array([[0.0, 6.0, 7.0], [11.0, 12.0, 7.0], [6.0, 6.0, 13.0]])
    found = sample_inside(noise(), mask, oblique(), world(outside, oblique()))
    expected = sample_inside(noise(), mask, oblique(), world(nearest, oblique()))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_linear_samples_of_positive_values_are_positive_where_splines_swing() -> None:
    values = np.full((*GRID, 1), 1e-4)
    values[6, 6, 6] = 1.0
    points = np.random.default_rng(0).uniform(3, 9, (500, 3))
    cubic = sample_inside(values, np.ones(GRID, bool), np.eye(4), points)
    linear = sample_inside(values, np.ones(GRID, bool), np.eye(4), points, spline_order=1)
    assert cubic.min() < 0
    assert linear.min() > 0.99e-4
    far = np.abs(points - 6).max(axis=1) > 1
    np.testing.assert_allclose(linear[far], 1e-4, rtol=1e-3)
