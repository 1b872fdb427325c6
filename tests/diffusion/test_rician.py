from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rice

from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.diffusion.rician import BRIGHTEST, rician_mean, without_floor
from tests.diffusion.heads import sphere

SIGMA = 0.04


def test_the_mean_is_scipys_of_the_rice_distribution() -> None:
    signal = np.linspace(0, 35 * SIGMA, 200)
    np.testing.assert_allclose(
        rician_mean(signal, np.array([SIGMA])), rice.mean(signal / SIGMA, scale=SIGMA), rtol=1e-6
    )


def test_taking_the_floor_away_undoes_the_mean() -> None:
    signal = np.linspace(0.5 * SIGMA, 1.5 * BRIGHTEST * SIGMA, 300)
    mean = rician_mean(signal, np.array([SIGMA]))
    np.testing.assert_allclose(without_floor(mean, mean, np.array([SIGMA])), signal, atol=1e-4 * SIGMA)


def test_below_the_mean_of_noise_alone_there_is_no_signal() -> None:
    noise = SIGMA * np.sqrt(np.pi / 2)
    np.testing.assert_allclose(without_floor(np.array([noise]), np.array([noise / 2]), np.array([SIGMA])), 0, atol=1e-9)


@pytest.mark.parametrize("sigma", [0.0, np.nan], ids=["none", "not known"])
def test_without_known_noise_nothing_changes(sigma: float) -> None:
    signal = np.array([[0.1, 0.5]])
    np.testing.assert_array_equal(rician_mean(signal, np.array([[sigma]])), signal)
    np.testing.assert_array_equal(without_floor(signal, signal, np.array([[sigma]])), signal)


@pytest.mark.parametrize("seed", range(3))
def test_power_and_mean_that_the_floor_took_come_back_with_a_fit_as_the_expected_value(seed: int) -> None:
    """A tract at b = 2200: along it little more than noise is left."""
    rng = np.random.default_rng(seed)
    directions, axes = sphere(45), np.linalg.qr(rng.standard_normal((2000, 3, 3)))[0][:, :, 0]
    signal = np.exp(-2.2 * (0.4 + 1.0 * (axes @ directions.T) ** 2))
    matrix = basis(directions, 4)
    inverse = np.linalg.pinv(matrix)
    truth, along = signal @ inverse.T, np.linalg.norm(signal @ inverse[1:6].T, axis=1, keepdims=True)
    measured = np.hypot(*(signal[None] * [[[1]], [[0]]] + SIGMA * rng.standard_normal((2, *signal.shape))))
    plain = measured @ inverse.T
    corrected = without_floor(measured, plain @ matrix.T, np.full((2000, 1), SIGMA)) @ inverse.T

    def kept(found: np.ndarray) -> tuple[float, float]:
        """Of the mean signal, and of order 2 along its true direction, which noise does not lengthen."""
        order2 = (found[:, 1:6] * truth[:, 1:6] / along).sum(axis=1)
        return found[:, 0].mean() / truth[:, 0].mean(), order2.mean() / along.mean()

    assert kept(plain)[0] > 1.01
    assert kept(plain)[1] < 0.985
    assert kept(corrected) == pytest.approx((1, 1), abs=0.012)
