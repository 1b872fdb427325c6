from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_shresnet.methods.networks import diffusion_factors
from bids_shresnet.methods.networks.head_samples import HeadSamples, read_head_samples
from bids_shresnet.methods.networks.shresnet import make_architecture
from bids_shresnet.network.amplitude import AmplitudeHead
from bids_shresnet.network.patches import CENTRE_INDEX
from bids_shresnet.network.prediction import Predictor
from bids_shresnet.network.shresnet import build_shresnet
from bids_shresnet.scans import Tissue
from bids_shresnet.settings import NetworkConfig
from tests.methods.heads import GAINS, fit_task, head, travelling

OUTPUTS = (1, 5)
ORDER_0 = 27 + CENTRE_INDEX  # after the contrast
ORDER_2 = ORDER_0 + 27


def read(sigma: float, assumed_variance: float | None = None) -> HeadSamples:
    subject = travelling(head(1), sigma=sigma, assumed_variance=assumed_variance)
    network = build_shresnet(make_architecture(OUTPUTS, NetworkConfig(resblocks=1)), seed=0)
    return read_head_samples(Predictor(network), AmplitudeHead(OUTPUTS), fit_task([subject]))


def test_fa_of_patch_and_measurement_has_a_common_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without noise, the target scales order 2 of the centre, and so do all factors."""
    monkeypatch.setattr(diffusion_factors, "MD_SPREAD", 0.0)
    samples = read(0.0, assumed_variance=1e-9)
    own = samples.features[:, ORDER_2]
    ratio = (samples.lengths.squared[:, 0].sqrt() / own).numpy()
    np.testing.assert_allclose(ratio, GAINS[1], rtol=0.01)
    image = head(1)
    measured = np.linalg.norm(image.coefficients[image.mask][:, 1:], axis=1)
    factors = own.numpy() / measured
    assert np.log(factors).std() == pytest.approx(diffusion_factors.FA_SPREAD, rel=0.1)
    assert np.log(factors).mean() == pytest.approx(0, abs=0.03)


def test_md_of_patch_and_measurement_has_a_common_factor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A factor m makes s^m of a mean s, and m s^m / s times the length of order 2."""
    monkeypatch.setattr(diffusion_factors, "FA_SPREAD", 0.0)
    samples = read(0.0, assumed_variance=1e-9)
    image = head(1)
    before = image.coefficients[image.mask]
    mean = before[:, 0] / np.sqrt(4 * np.pi)
    own_mean = samples.features[:, ORDER_0].numpy() / np.sqrt(4 * np.pi)
    factors = np.log(own_mean) / np.log(mean)
    assert np.log(factors).std() == pytest.approx(diffusion_factors.MD_SPREAD, rel=0.1)
    own_length = np.linalg.norm(before[:, 1:], axis=1) * factors * mean ** (factors - 1)
    np.testing.assert_allclose(samples.features[:, ORDER_2], own_length, rtol=0.01)
    label = own_length * GAINS[1] * GAINS[0] ** (factors - 1)
    np.testing.assert_allclose(samples.lengths.squared[:, 0].sqrt(), label, rtol=0.01)


def test_what_is_noise_in_a_patch_has_no_factor() -> None:
    subject = travelling(head(1), assumed_variance=1e-9)
    noise = replace(subject, source_denoised=np.zeros_like(subject.source_denoised))
    network = build_shresnet(make_architecture(OUTPUTS, NetworkConfig(resblocks=1)), seed=0)
    samples = read_head_samples(Predictor(network), AmplitudeHead(OUTPUTS), fit_task([noise]))
    image = head(1)
    own = np.linalg.norm(image.coefficients[image.mask][:, 1:], axis=1)
    np.testing.assert_allclose(samples.features[:, ORDER_2], own, rtol=0.01)


def test_noise_is_as_large_relative_to_the_length_as_it_was() -> None:
    samples = read(0.05)
    plain = samples.lengths.noise_variance[:, 0] / samples.lengths.squared[:, 0]
    subject = travelling(head(1), sigma=0.05)
    matrix = subject.matched.sh_matrix.astype(float)
    covariance = np.linalg.inv(matrix.T @ matrix)[1:, 1:]
    coefficients = subject.matched.signal @ np.linalg.pinv(matrix).T
    squared = np.square(coefficients[:, 1:]).sum(axis=1)
    expected = 0.05**2 * np.trace(covariance) / 5 / squared
    np.testing.assert_allclose(plain, expected, rtol=0.02)


def test_voxels_without_known_noise_are_left_out() -> None:
    subject = travelling(head(1), sigma=0.05)
    variance = subject.matched.noise_variance.copy()
    variance[::2] = np.nan
    unknown = replace(subject, matched=replace(subject.matched, noise_variance=variance))
    network = build_shresnet(make_architecture(OUTPUTS, NetworkConfig(resblocks=1)), seed=0)
    samples = read_head_samples(Predictor(network), AmplitudeHead(OUTPUTS), fit_task([unknown]))
    assert len(samples.tissue) == len(samples.features) == len(variance) // 2
    assert set(samples.tissue) == {Tissue.GM}
