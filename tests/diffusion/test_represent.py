from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.diffusion.represent import represent_source
from bids_shresnet.scans import Dwi, Shell
from tests.diffusion.heads import sphere

GRID = (16, 16, 16)
MASK = np.ones(GRID, bool)
MASK[:3] = False
CSF = np.zeros(GRID, bool)
CSF[12:] = True
TISSUE = MASK & ~CSF
SHELLS = (Shell(1000.0, 4), Shell(2000.0, 2))
COUNTS = (30, 14)
LENGTHS = (0.05, 0.2)  # of order 2
S0 = 1000.0


def scan(sigma: float = 0.0, direction_counts: tuple[int, int] = COUNTS, b0_count: int = 1) -> Dwi:
    """Tissue beside CSF, with noise relative to S0."""
    parts = []
    for shell, count, length in zip(SHELLS, direction_counts, LENGTHS, strict=True):
        coefficients = np.zeros((*GRID, shell.coefficient_count))
        coefficients[..., 0] = np.where(CSF, 0.05, 0.5) * np.sqrt(4 * np.pi)
        coefficients[TISSUE, 1] = length
        parts.append(coefficients @ basis(sphere(count), shell.sh_order).T)
    signal = np.concatenate([np.ones((*GRID, b0_count)), *parts], axis=3)
    noisy = signal + sigma * np.random.default_rng(1).standard_normal(signal.shape)
    bvals = np.repeat([0.0, 1000.0, 2000.0], [b0_count, *direction_counts])
    directions = [np.zeros((b0_count, 3)), *(sphere(count) for count in direction_counts)]
    return Dwi(S0 * noisy, np.eye(4), bvals, np.concatenate(directions))


@pytest.mark.parametrize("sigma", [0.0, 0.02, 0.06])
def test_the_mean_power_of_order_2_is_that_without_noise(sigma: float) -> None:
    """Noise of 0.06 adds more than the power of grey matter has."""
    power = represent_source(scan(sigma, b0_count=40), MASK, SHELLS).image.order_2_power
    assert power is not None
    np.testing.assert_allclose(power[TISSUE].mean(axis=0), np.square(LENGTHS), rtol=0.15)


def test_power_is_known_in_grey_and_white_matter_only() -> None:
    power = represent_source(scan(0.01), MASK, SHELLS).image.order_2_power
    assert power is not None
    np.testing.assert_array_equal(np.isfinite(power).all(axis=-1), TISSUE)


def test_power_of_voxels_of_little_signal_is_not_known() -> None:
    dwi = scan(0.01)
    dwi.data[5] *= 0.2
    power = represent_source(dwi, MASK, SHELLS).image.order_2_power
    assert power is not None
    assert np.isnan(power[5]).all()
    assert np.isfinite(power[4]).all()


def test_without_known_noise_no_power_is_known() -> None:
    shells = (Shell(1000.0, 2), Shell(2000.0, 2))
    few = scan(0.01, direction_counts=(6, 6))
    power = represent_source(few, MASK, shells).image.order_2_power
    assert power is not None
    assert np.isnan(power).all()
