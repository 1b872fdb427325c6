from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import Float

from bids_shresnet.diffusion.sampling import sample_patches
from bids_shresnet.network.patches import cut
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


def image(coefficients: Float[np.ndarray, "x y z c"], affine: Float[np.ndarray, "4 4"] | None = None) -> ShImage:
    affine = oblique() if affine is None else affine
    return ShImage(coefficients.astype(np.float32), np.ones(GRID, bool), affine, SHELL)


def noise() -> Float[np.ndarray, "x y z 6"]:
    return np.random.default_rng(0).uniform(-1, 1, (*GRID, 6))


def world(voxels: Float[np.ndarray, "p 3"], affine: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "p 3"]:
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
    sampled = sample_patches(image(noise(), affine), world(voxels.astype(float), affine))
    cut_there = cut(torch.from_numpy(noise().astype(np.float32)), torch.from_numpy(voxels))
    expected = cut_there.permute(0, 2, 3, 4, 1).reshape(len(voxels), 27, 6).numpy()
    np.testing.assert_allclose(sampled, expected, atol=HALF + 1e-4)


def test_neighbours_are_one_voxel_away_along_the_images_own_axes_x_slowest() -> None:
    numbers = np.zeros((*GRID, 6))
    numbers[..., :3] = np.moveaxis(np.indices(GRID), 0, -1)
    patch = sample_patches(image(numbers), world(MIDDLE[None].astype(float), oblique()))[0, :, :3]
    steps = [[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)]
    np.testing.assert_allclose(patch, MIDDLE + np.array(steps), atol=16 * HALF)


def test_linear_ramp_is_reproduced_at_any_point_inside() -> None:
    slope = np.array([[0.02, -0.05, 0.01], [0.0, 0.03, 0.04], *np.zeros((4, 3))])  # of each coefficient, per mm
    centres = world(np.stack(np.indices(GRID), -1).reshape(-1, 3).astype(float), oblique())
    ramp = (centres @ slope.T).reshape(*GRID, 6)
    inside = world(np.random.default_rng(1).uniform(1, np.array(GRID) - 2, (50, 3)), oblique())
    steps = world(np.stack(np.indices((3, 3, 3)), -1).reshape(27, 3) - 1.0, oblique()) - oblique()[:3, 3]
    expected = (inside[:, None] + steps) @ slope.T
    np.testing.assert_allclose(sample_patches(image(ramp), inside), expected, atol=4 * HALF)


def test_halfway_between_two_voxels_is_their_mean() -> None:
    halfway = world(MIDDLE + np.array([[0.5, 0, 0]]), oblique())
    centre = sample_patches(image(noise()), halfway)[0, 13]
    i, j, k = MIDDLE
    np.testing.assert_allclose(centre, (noise()[i, j, k] + noise()[i + 1, j, k]) / 2, atol=HALF)


def test_outside_the_image_is_zero() -> None:
    far = world(np.array([[-5.0, 6, 7], [6, 20, 7], [6, 6, 99]]), oblique())
    np.testing.assert_array_equal(sample_patches(image(noise()), far), 0)


def test_image_without_points_gives_no_patches() -> None:
    assert sample_patches(image(noise()), np.empty((0, 3))).shape == (0, 27, 6)
