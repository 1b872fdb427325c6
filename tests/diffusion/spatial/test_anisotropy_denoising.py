from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.representation import Representation
from bids_shresnet.diffusion.spatial.anisotropy_denoising import (
    MIN_COMMON_SHARE,
    denoise_orders,
    denoise_vectors,
)
from bids_shresnet.scans import Shell
from tests.diffusion.heads import make_dwi, sphere

GRID = (14, 14, 14)
MASK = np.ones(GRID, bool)
INSIDE = (slice(2, -2),) * 3
SHELLS = (Shell(1000.0, 4), Shell(2000.0, 2))
COUNTS = (30, 12)
ORDER_2 = (slice(1, 6), slice(16, 21))  # of the shells
SIGMA = 0.03
VARIANCE = np.full(MASK.sum(), SIGMA**2)


def represent(length: float, sigma: float = SIGMA) -> Representation:
    """Noise on a signal whose order 2 has this length in both shells, turning through the head."""
    rng = np.random.default_rng(1)
    angles = np.linspace(0, 2, GRID[0])[:, None, None, None]
    order_2 = length * np.concatenate([np.cos(angles), np.sin(angles)], axis=3)
    parts = []
    for shell, count in zip(SHELLS, COUNTS, strict=True):
        matrix = basis(sphere(count), shell.sh_order)
        coefficients = np.zeros((*GRID, matrix.shape[1]))
        coefficients[..., 0] = 0.5 * np.sqrt(4 * np.pi)
        coefficients[..., 1:3] = order_2
        parts.append(coefficients @ matrix.T)
    signal = np.concatenate(parts, axis=3)
    noisy = signal + sigma * rng.standard_normal(signal.shape)
    directions = np.concatenate([sphere(count) for count in COUNTS])
    dwi = make_dwi(noisy, np.repeat([1000.0, 2000.0], COUNTS), directions)
    return replace(represent_dwi(dwi, MASK, SHELLS), noise_variance=VARIANCE)


def powers(coefficients: np.ndarray, others: np.ndarray | None = None) -> list[float]:
    """Mean power of order 2 of each shell, or mean product with that of others."""
    first = coefficients.reshape(*GRID, -1)[INSIDE]
    second = first if others is None else others.reshape(*GRID, -1)[INSIDE]
    products = [first[..., group] * second[..., group] for group in ORDER_2]
    return [float(product.sum(axis=-1).mean()) for product in products]


@pytest.mark.parametrize("length", [0.04, 0.1, 0.3])
def test_multiples_change_the_power_as_if_only_what_is_not_noise_became_longer(
    length: float,
) -> None:
    clean = represent(length, 0.0).image.coefficients[MASK]
    noisy = represent(length)
    step = 0.01
    before = noisy.image.coefficients[MASK]
    after = before + step * denoise_orders(noisy)
    changes = np.array(powers(after)) - powers(before)
    expected = np.array(powers((1 + step) * clean)) - powers(clean)
    np.testing.assert_allclose(changes, expected, rtol=0.15)


@pytest.mark.parametrize(("length", "remaining_share"), [(0.0, 0.15), (0.04, 0.4), (0.3, 1.01)])
def test_noise_becomes_less_where_it_is_much(length: float, remaining_share: float) -> None:
    noisy = represent(length)
    clean = represent(length, 0.0).image.coefficients[MASK]
    errors = [noisy.image.coefficients[MASK] - clean, denoise_orders(noisy) - clean]
    before, after = (powers(error) for error in errors)
    assert (np.array(after) < remaining_share * np.array(before)).all()


@pytest.mark.parametrize("variance", [0.0, np.nan])
def test_without_known_noise_coefficients_stay(variance: float) -> None:
    noisy = represent(0.1)
    denoised = denoise_orders(replace(noisy, noise_variance=np.full_like(VARIANCE, variance)))
    np.testing.assert_allclose(denoised, noisy.image.coefficients[MASK], atol=1e-6)


def test_order_0_stays_and_the_image_is_not_changed() -> None:
    noisy = represent(0.1)
    before = noisy.image.coefficients.copy()
    denoised = denoise_orders(noisy)
    np.testing.assert_array_equal(denoised[:, [0, 15]], before[MASK][:, [0, 15]])
    assert not np.isclose(denoised[:, 1:15], before[MASK][:, 1:15]).all()
    np.testing.assert_array_equal(noisy.image.coefficients, before)


def test_vectors_that_have_nothing_in_common_with_their_neighbours_stay_finite() -> None:
    signs = np.where(np.indices(GRID)[0] % 2, 1.0, -1.0)
    vectors = np.zeros((MASK.sum(), 5))
    vectors[:, 0] = signs[MASK]
    denoised = denoise_vectors(vectors, MASK, np.full(GRID, 0.3))
    assert np.isfinite(denoised).all()
    assert np.abs(denoised).max() < 0.3 / MIN_COMMON_SHARE
