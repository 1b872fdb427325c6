from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.diffusion.attenuation import mean_b0
from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.diffusion.noise import estimate_noise_variance
from bids_shresnet.diffusion.representation import represent_dwi
from bids_shresnet.scans import Dwi, Shell
from tests.diffusion.heads import sphere

GRID = (14, 15, 13)
MASK = np.zeros(GRID, dtype=bool)
MASK[1:-1, 1:-1, 1:-1] = True
S0 = np.broadcast_to(np.linspace(600, 1500, GRID[0])[:, None, None], GRID)
SIGMA = 25.0  # in scanner units: 2 to 4 % of S0


def scan(
    shells: dict[float, tuple[int, int]], b0s: int, *, sigma: float = SIGMA, seed: int = 0
) -> Dwi:
    """Noise on a signal of each shell (directions, SH order of the signal) that differs from voxel to voxel."""
    rng = np.random.default_rng(seed)
    parts, bvals, bvecs = [np.ones((*GRID, b0s))], [0.0] * b0s, [np.zeros((b0s, 3))]
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


def found_sigma(dwi: Dwi, shells: tuple[Shell, ...]) -> Float[np.ndarray, " v"]:
    """Standard deviation in scanner units, as found."""
    s0 = mean_b0(dwi)
    variance = estimate_noise_variance(dwi, represent_dwi(dwi, MASK, shells), s0)
    return np.sqrt(variance) * s0[MASK]


@pytest.mark.parametrize(("directions", "order"), [(30, 4), (20, 4), (30, 2), (12, 2)])
def test_the_noise_of_a_shell_is_found_within_a_tenth_wherever_s0_is_bright_or_not(
    directions: int, order: int
) -> None:
    dwi = scan({1000.0: (directions, order)}, 8)
    found = found_sigma(dwi, (Shell(1000.0, order),))
    np.testing.assert_allclose(found, SIGMA, rtol=0.1)


def test_several_shells_tell_it_together() -> None:
    dwi = scan({1000.0: (14, 2), 2000.0: (30, 4)}, 8)
    np.testing.assert_allclose(
        found_sigma(dwi, (Shell(1000.0, 2), Shell(2000.0, 4))), SIGMA, rtol=0.1
    )


@pytest.mark.parametrize("directions", [15, 18])
def test_with_too_few_directions_for_an_order_the_one_below_tells_it(directions: int) -> None:
    """Fewer than 20 leave order 4 (15) too little to spare; what order 2 leaves of a signal of order 2 is noise."""
    dwi = scan({1000.0: (directions, 2)}, 1)
    np.testing.assert_allclose(found_sigma(dwi, (Shell(1000.0, 4),)), SIGMA, rtol=0.1)


def test_without_directions_to_spare_the_repeated_b0_volumes_tell_it() -> None:
    dwi = scan({1000.0: (6, 2)}, 5)
    np.testing.assert_allclose(found_sigma(dwi, (Shell(1000.0, 2),)), SIGMA, rtol=0.2)


def test_one_b0_and_six_directions_tell_nothing() -> None:
    dwi = scan({1000.0: (6, 2)}, 1)
    found = estimate_noise_variance(
        dwi, represent_dwi(dwi, MASK, (Shell(1000.0, 2),)), mean_b0(dwi)
    )
    assert found.shape == (MASK.sum(),)
    assert np.isnan(found).all()


def test_a_signal_that_the_harmonics_hold_and_no_noise_is_no_noise() -> None:
    found = found_sigma(scan({1000.0: (30, 4)}, 3, sigma=0.0), (Shell(1000.0, 4),))
    np.testing.assert_allclose(found, 0, atol=0.01)


def test_a_voxel_without_signal_has_finite_noise_and_spoils_no_other() -> None:
    dwi = scan({1000.0: (30, 4)}, 4)
    dark = dwi.data.copy()
    dark[7, 7, 7] = 0
    spoilt = Dwi(dark, dwi.affine, dwi.bvals, dwi.bvecs)
    s0 = mean_b0(spoilt)
    found = estimate_noise_variance(spoilt, represent_dwi(spoilt, MASK, (Shell(1000.0, 4),)), s0)
    assert np.isfinite(found).all()
    others = s0[MASK] > 0
    np.testing.assert_allclose(np.sqrt(found[others]) * s0[MASK][others], SIGMA, rtol=0.1)
