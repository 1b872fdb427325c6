from __future__ import annotations

from dataclasses import replace

import numpy as np

from bids_shresnet.methods.networks.error_samples import ErrorSamples, read_error_samples
from bids_shresnet.methods.networks.shresnet import make_architecture
from bids_shresnet.network.amplitude import AmplitudeHead
from bids_shresnet.network.error_head import ErrorHead
from bids_shresnet.network.shresnet import build_shresnet
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.settings import NetworkConfig
from tests.methods.heads import fit_task, head, travelling

OUTPUTS = (1, 5)


def read(subject: TravellingSubject) -> ErrorSamples:
    network = build_shresnet(make_architecture(OUTPUTS, NetworkConfig(resblocks=1)), seed=0)
    amplitude_head = AmplitudeHead(OUTPUTS)
    return read_error_samples(
        network.eval(), amplitude_head, ErrorHead(OUTPUTS), fit_task([subject])
    )


def test_the_error_is_the_mean_over_directions_of_the_squared_difference() -> None:
    subject = travelling(head(1), sigma=0.02)
    plain = read(subject)
    shift = 0.1
    moved = replace(subject.matched, signal=subject.matched.signal + np.float16(shift))
    shifted = read(replace(subject, matched=moved))
    rms = np.sqrt(plain.squared_error[:, 0].numpy())
    change = np.sqrt(shifted.squared_error[:, 0].numpy())
    assert (change <= rms + shift + 1e-2).all()
    assert (change >= np.abs(rms - shift) - 1e-2).all()
    np.testing.assert_allclose(plain.noise_variance, 0.02**2, rtol=1e-3)


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
