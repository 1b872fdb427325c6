from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rice

from bids_shresnet.diffusion.measurement_noise import (
    MeasurementNoise,
    draw_measurement,
    learn_measurement_noise,
    relative_s0,
    remove_rician_mean,
    rician_mean,
)
from bids_shresnet.pairs import TravellingSubject
from tests.methods.heads import head, travelling

RATIOS = np.array([0.05, 0.3, 1.0, 2.5, 6.0, 19.9, 20.1, 40.0])  # S / sigma


def noisy_subject(*, level: float) -> TravellingSubject:
    """A head with noise of one level in scanner units; 1 b0 and 15 weighted volumes."""
    subject = travelling(head(1), 15)
    count = len(subject.matched.tissue)
    s0 = np.random.default_rng(0).uniform(0.4, 2.0, count).astype(np.float32)
    variance = np.square(level / s0).astype(np.float32)
    return replace(
        subject,
        matched=replace(subject.matched, source_s0=s0, noise_variance=variance),
        unharmonized=replace(
            subject.unharmonized, target_tensor_bvals=np.array([0.0] + [1000.0] * 15)
        ),
    )


def test_noise_that_is_constant_in_scanner_units_is_learned_exactly() -> None:
    noise = learn_measurement_noise([noisy_subject(level=0.03)])
    assert noise is not None
    assert noise.level == pytest.approx(0.03, rel=1e-3)
    assert (noise.direction_count, noise.b0_count) == (15, 1)


def test_the_median_subject_decides_and_one_without_known_noise_does_not_count() -> None:
    subjects = [noisy_subject(level=level) for level in (0.02, 0.03, 0.5)]
    unknown = noisy_subject(level=float("nan"))
    noise = learn_measurement_noise([*subjects, unknown])
    assert noise is not None
    assert noise.level == pytest.approx(0.03, rel=1e-3)
    assert learn_measurement_noise([unknown]) is None
    assert learn_measurement_noise([noisy_subject(level=0.0)]) is None


def test_noise_that_is_constant_in_scanner_units_is_that_share_of_each_s0() -> None:
    s0 = np.random.default_rng(0).uniform(300, 1500, (4, 5, 6))
    mask = np.ones(s0.shape, bool)
    mask[0] = False
    sigma = 20.0
    noise = MeasurementNoise(sigma / float(np.median(s0[mask])), 30, 1)
    np.testing.assert_allclose(noise.relative_deviation(s0, mask), sigma / s0[mask])
    np.testing.assert_allclose(
        noise.relative_deviation(7 * s0, mask), noise.relative_deviation(s0, mask)
    )


def test_background_has_no_endless_noise() -> None:
    s0 = np.array([0.0, 1.0, 1.0, 1e-9]).reshape(1, 2, 2)
    noise = MeasurementNoise(0.03, 30, 1)
    deviation = noise.relative_deviation(s0, np.ones(s0.shape, bool))
    assert deviation.max() == pytest.approx(0.03 / 0.1)


def test_s0_is_relative_to_the_median_of_the_brain() -> None:
    s0 = np.array([5.0, 10.0, 20.0, 1000.0]).reshape(1, 2, 2)
    mask = s0 < 100
    np.testing.assert_array_equal(relative_s0(s0, mask).ravel(), [0.5, 1, 2, 100])
    np.testing.assert_array_equal(relative_s0(np.zeros_like(s0), mask), 0)


@pytest.mark.parametrize("sigma", [1.0, 0.04])
def test_the_rician_mean_is_that_of_scipys_distribution(sigma: float) -> None:
    ratios = RATIOS[RATIOS < 25]  # scipy's own terms overflow beyond
    expected = [rice.mean(ratio, scale=sigma) for ratio in ratios]
    np.testing.assert_allclose(rician_mean(ratios * sigma, sigma), expected, rtol=1e-9)


def test_removing_the_rician_mean_inverts_it() -> None:
    sigma = np.array([0.01, 0.05])
    signal = sigma[:, None] * RATIOS
    means = rician_mean(signal, sigma[:, None])
    error = remove_rician_mean(means, sigma) - signal
    assert np.abs(error / sigma[:, None]).max() < 1e-3


def test_a_mean_at_or_below_that_of_noise_alone_is_no_signal_and_without_noise_it_stays() -> None:
    signal = np.array([[0.0, 0.02, 0.06], [0.0, 0.02, 0.06]])
    corrected = remove_rician_mean(signal, np.array([0.05, 0.0]))
    np.testing.assert_array_equal(corrected[0], 0)  # 0.05 sqrt(pi / 2) = 0.0627
    np.testing.assert_array_equal(corrected[1], signal[1])


def test_draws_have_the_mean_and_the_power_of_the_rician_distribution() -> None:
    sigma = np.array([0.03, 0.06])
    signal = np.repeat([[0.02], [0.4]], 200_000, axis=1)
    drawn = draw_measurement(signal, sigma, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(axis=1), rician_mean(signal[:, 0], sigma), rtol=5e-3)
    power = np.square(signal[:, 0]) + 2 * np.square(sigma)
    np.testing.assert_allclose(np.square(drawn).mean(axis=1), power, rtol=1e-2)


def test_a_seed_gives_one_draw_and_no_noise_changes_nothing() -> None:
    signal = np.full((3, 4), 0.3)
    drawn = [draw_measurement(signal, np.full(3, 0.1), np.random.default_rng(k)) for k in (1, 1, 2)]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    still = draw_measurement(signal, np.zeros(3), np.random.default_rng(0))
    np.testing.assert_array_equal(still, signal)
