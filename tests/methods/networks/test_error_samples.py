from __future__ import annotations

from dataclasses import replace

import numpy as np

from bids_shresnet.methods.networks.error_samples import ErrorSamples, read_error_samples
from bids_shresnet.methods.networks.shresnet import make_architecture
from bids_shresnet.network.amplitude import AmplitudeHead
from bids_shresnet.network.error_head import ErrorHead
from bids_shresnet.network.prediction import Predictor
from bids_shresnet.network.shresnet import build_shresnet
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.settings import NetworkConfig
from tests.methods.heads import fit_task, head, travelling

OUTPUTS = (1, 5)


def read(subject: TravellingSubject) -> ErrorSamples:
    network = build_shresnet(make_architecture(OUTPUTS, NetworkConfig(resblocks=1)), seed=0)
    amplitude_head = AmplitudeHead(OUTPUTS)
    return read_error_samples(
        Predictor(network), amplitude_head, ErrorHead(OUTPUTS), fit_task([subject])
    )


def test_an_equal_shift_of_all_directions_changes_the_error_of_order_0_alone() -> None:
    subject = travelling(head(1), sigma=0.02)
    plain = read(subject)
    shift = 0.1
    moved = replace(subject.matched, signal=subject.matched.signal + np.float16(shift))
    shifted = read(replace(subject, matched=moved))
    coefficient = shift * np.sqrt(4 * np.pi)  # Y_00 = 1 / sqrt(4 pi)
    before = np.sqrt(plain.squared_error.numpy())
    after = np.sqrt(shifted.squared_error.numpy())
    assert (after[:, 0] <= before[:, 0] + coefficient + 1e-2).all()
    assert (after[:, 0] >= np.abs(before[:, 0] - coefficient) - 1e-2).all()
    np.testing.assert_allclose(after[:, 1], before[:, 1], atol=2e-3)


def test_the_noise_of_a_coefficient_is_that_of_least_squares() -> None:
    subject = travelling(head(1), sigma=0.02)
    matrix = subject.matched.sh_matrix.astype(np.float64)
    covariance = 0.02**2 * np.linalg.inv(matrix.T @ matrix)
    expected = [covariance[0, 0], np.trace(covariance[1:, 1:]) / 5]
    noise = read(subject).noise_variance.numpy()
    np.testing.assert_allclose(noise, np.broadcast_to(expected, noise.shape), rtol=1e-3)


def test_points_between_voxels_and_voxels_without_known_noise_are_left_out() -> None:
    subject = travelling(head(1), sigma=0.02)
    matched = subject.matched
    count = len(matched.tissue)
    points = matched.points.copy()
    points[::2] += subject.source.affine[:3, :3] @ np.full(3, 0.5)
    variance = matched.noise_variance.copy()
    variance[1::4] = np.nan
    some = replace(matched, points=points, noise_variance=variance)
    samples = read(replace(subject, matched=some))
    assert len(samples.features) == count // 2 - len(variance[1::4])
