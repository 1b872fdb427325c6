from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bids_shresnet.methods.networks.head_samples import (
    HeadSamples,
    read_head_samples,
    scale_anisotropy,
)
from bids_shresnet.methods.networks.shresnet import make_architecture
from bids_shresnet.network.amplitude import AmplitudeHead
from bids_shresnet.network.shresnet import build_shresnet
from bids_shresnet.scans import Tissue
from bids_shresnet.settings import NetworkConfig
from tests.methods.heads import ORDERS, fit_task, head, travelling

OUTPUTS = (1, 5)


def read(sigma: float, assumed_variance: float | None = None) -> HeadSamples:
    subject = travelling(head(1), sigma=sigma, assumed_variance=assumed_variance)
    network = build_shresnet(make_architecture(OUTPUTS, NetworkConfig(resblocks=1)), seed=0)
    return read_head_samples(network.eval(), AmplitudeHead(OUTPUTS), fit_task([subject]))


def test_patch_and_measurement_have_a_common_factor() -> None:
    """Without noise, the target scales order 2 of the centre, and so do all factors."""
    samples = read(0.0, assumed_variance=1e-9)
    centre = 27 + 27 + 13  # after the contrast and the lengths of order 0
    own = samples.features[:, centre]
    ratio = (samples.lengths.squared[:, 0].sqrt() / own).numpy()
    np.testing.assert_allclose(ratio, 0.6, rtol=0.01)
    image = head(1)
    measured = np.linalg.norm(image.coefficients[image.mask][:, 1:], axis=1)
    factors = own.numpy() / measured
    assert np.log(factors).std() == pytest.approx(0.1, rel=0.1)
    assert np.log(factors).mean() == pytest.approx(0, abs=0.02)


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
    samples = read_head_samples(network.eval(), AmplitudeHead(OUTPUTS), fit_task([unknown]))
    assert len(samples.tissue) == len(samples.features) == len(variance) // 2
    assert set(samples.tissue) == {Tissue.GM}


def test_orders_above_zero_are_scaled_and_nothing_else() -> None:
    patches = torch.rand(4, 27, 7)
    factors = np.array([[1.0], [2.0], [0.5], [3.0]])
    scaled = scale_anisotropy(patches, [slice(0, 1), slice(1, 6)], factors)
    ratio = (scaled / patches).numpy()
    np.testing.assert_allclose(
        ratio[..., ORDERS[1]], np.broadcast_to(factors[:, None], (4, 27, 5)), rtol=1e-6
    )
    np.testing.assert_array_equal(ratio[..., [0, 6]], 1)
