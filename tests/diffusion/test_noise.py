from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.diffusion.attenuation import mean_b0
from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.diffusion.noise import estimate_true_shares
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.scans import Dwi, Shell
from tests.diffusion.heads import make_dwi, sphere

GRID = (14, 15, 13)
MASK = np.zeros(GRID, dtype=bool)
MASK[1:-1, 1:-1, 1:-1] = True
S0 = np.broadcast_to(np.linspace(600, 1500, GRID[0])[:, None, None], GRID)
SIGMA = 25.0  # in scanner units: 2 to 4 % of S0


def scan(
    shells: dict[float, tuple[int, int]], b0s: int, *, sigma: float = SIGMA, seed: int = 0
) -> Dwi:
    """Noise on a signal that differs from voxel to voxel.

    Each shell has a number of directions and the SH order of its signal.
    """
    rng = np.random.default_rng(seed)
    parts = [np.ones((*GRID, b0s))]
    bvals = [0.0] * b0s
    bvecs = [np.zeros((b0s, 3))]
    for bvalue, (directions, order) in shells.items():
        matrix = basis(sphere(directions), order)
        coefficients = 0.05 * rng.standard_normal((*GRID, matrix.shape[1]))
        coefficients[..., 0] += 0.45 * np.sqrt(4 * np.pi)
        parts.append(coefficients @ matrix.T)
        bvals += [bvalue] * directions
        bvecs.append(sphere(directions))
    data = np.concatenate(parts, axis=3) * S0[..., None]
    data += sigma * rng.standard_normal(data.shape)
    return Dwi(data.astype(np.float32), np.eye(4), np.array(bvals), np.concatenate(bvecs))


def estimate_sigma(dwi: Dwi, shells: tuple[Shell, ...]) -> Float[np.ndarray, " v"]:
    """Estimated standard deviation in scanner units."""
    variance = represent_dwi(dwi, MASK, shells).noise_variance
    return np.asarray(np.sqrt(variance) * mean_b0(dwi)[MASK])


@pytest.mark.parametrize(("directions", "order"), [(30, 4), (20, 4), (30, 2), (12, 2)])
def test_the_noise_of_a_shell_is_estimated_within_a_tenth_whatever_s0_is(
    directions: int, order: int
) -> None:
    dwi = scan({1000.0: (directions, order)}, 8)
    sigma = estimate_sigma(dwi, (Shell(1000.0, order),))
    np.testing.assert_allclose(sigma, SIGMA, rtol=0.1)


def test_several_shells_are_used_together() -> None:
    dwi = scan({1000.0: (14, 2), 2000.0: (30, 4)}, 8)
    np.testing.assert_allclose(
        estimate_sigma(dwi, (Shell(1000.0, 2), Shell(2000.0, 4))), SIGMA, rtol=0.1
    )


@pytest.mark.parametrize("directions", [15, 18])
def test_with_too_few_directions_for_an_order_the_one_below_is_fitted(directions: int) -> None:
    """Fewer than 20 directions are too few for order 4 (15 coefficients)."""
    dwi = scan({1000.0: (directions, 2)}, 1)
    np.testing.assert_allclose(estimate_sigma(dwi, (Shell(1000.0, 4),)), SIGMA, rtol=0.1)


def test_without_directions_to_spare_the_repeated_b0_volumes_are_used() -> None:
    dwi = scan({1000.0: (6, 2)}, 5)
    np.testing.assert_allclose(estimate_sigma(dwi, (Shell(1000.0, 2),)), SIGMA, rtol=0.2)


@pytest.mark.parametrize(("axes", "repeats"), [(6, 5), (10, 3)])
def test_repeated_directions_leave_more_to_spare(axes: int, repeats: int) -> None:
    """They determine as many coefficients as there are axes, whatever the order."""
    dwi = scan({1000.0: (axes, 2)}, 8)
    weighted = np.tile(np.arange(8, 8 + axes), repeats)
    volumes = np.concatenate([np.arange(8), weighted])
    clean = scan({1000.0: (axes, 2)}, 8, sigma=0.0).data[..., volumes]
    noisy = clean + SIGMA * np.random.default_rng(2).standard_normal(clean.shape)
    repeated = Dwi(noisy.astype(np.float32), dwi.affine, dwi.bvals[volumes], dwi.bvecs[volumes])
    sigma = estimate_sigma(repeated, (Shell(1000.0, 4),))
    np.testing.assert_allclose(sigma, SIGMA, rtol=0.1)


def test_one_b0_and_six_directions_give_nan() -> None:
    dwi = scan({1000.0: (6, 2)}, 1)
    variance = represent_dwi(dwi, MASK, (Shell(1000.0, 2),)).noise_variance
    assert variance.shape == (MASK.sum(),)
    assert np.isnan(variance).all()


def test_a_noise_free_signal_within_the_harmonics_has_no_noise() -> None:
    sigma = estimate_sigma(scan({1000.0: (30, 4)}, 3, sigma=0.0), (Shell(1000.0, 4),))
    np.testing.assert_allclose(sigma, 0, atol=0.01)


def test_a_voxel_without_signal_has_finite_noise_and_changes_no_other() -> None:
    dwi = scan({1000.0: (30, 4)}, 4)
    dark = dwi.data.copy()
    dark[7, 7, 7] = 0
    scan_with_hole = Dwi(dark, dwi.affine, dwi.bvals, dwi.bvecs)
    s0 = mean_b0(scan_with_hole)
    variance = represent_dwi(scan_with_hole, MASK, (Shell(1000.0, 4),)).noise_variance
    assert np.isfinite(variance).all()
    others = s0[MASK] > 0
    np.testing.assert_allclose(np.sqrt(variance[others]) * s0[MASK][others], SIGMA, rtol=0.1)


@pytest.mark.parametrize("sigma", [0.0, 0.03])
def test_the_true_share_of_anisotropy_is_that_of_the_power_without_noise(sigma: float) -> None:
    """An isotropic half has noise only, an anisotropic half mostly its own power."""
    grid = (16, 12, 12)
    rng = np.random.default_rng(0)
    directions = sphere(30)
    relative = np.full((*grid, len(directions)), 0.45)
    relative[8:] = np.exp(-np.square(directions) @ np.array([1.3, 0.5, 0.5]))
    relative = relative + sigma * rng.standard_normal(relative.shape)
    dwi = make_dwi(relative, np.full(len(directions), 1000.0), directions)
    mask = np.ones(grid, bool)
    representation = represent_dwi(dwi, mask, (Shell(1000.0, 4),))
    [(share, _)] = estimate_true_shares(representation, mask)
    assert share[11:].min() > 0.85
    if sigma:
        assert share[:5].mean() < 0.3


def test_each_shell_has_its_own_share_of_true_anisotropy() -> None:
    """The second shell shows no fibres, and all of its anisotropy is noise."""
    grid = (12, 12, 12)
    rng = np.random.default_rng(0)
    directions = sphere(30)
    fibres = np.exp(-np.square(directions) @ np.array([1.3, 0.5, 0.5]))
    clean = np.concatenate([fibres, np.full(30, 0.2)])
    relative = clean + 0.02 * rng.standard_normal((*grid, 60))
    dwi = make_dwi(relative, np.repeat([1000.0, 2000.0], 30), np.tile(directions, (2, 1)))
    shells = (Shell(1000.0, 4), Shell(2000.0, 4))
    representation = represent_dwi(dwi, np.ones(grid, bool), shells)
    (low, _), (high, _) = estimate_true_shares(representation, representation.image.mask)
    assert low.min() > 0.9
    assert high.mean() < 0.2
