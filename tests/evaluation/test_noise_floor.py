from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_shresnet.evaluation.noise_floor import noise_variances
from tests.evaluation.voxels import VOXELS, measured_quantities, uniform_voxels


@pytest.mark.slow
@pytest.mark.parametrize("b0_count", [1, 5])
def test_the_floor_is_the_error_of_the_truth_against_a_measurement(b0_count: int) -> None:
    """The measurement is another draw of the same noise, of S0 as well."""
    matched, truth = uniform_voxels(sigma=0.02)
    variances = noise_variances(matched, truth.signal, b0_count=b0_count, seed=1)
    s0 = 1 + 0.02 / np.sqrt(b0_count) * np.random.default_rng(5).standard_normal((VOXELS, 1))
    measured = measured_quantities(replace(matched, signal=matched.signal / s0))
    for quantity in ("FA", "MD"):
        values = measured.to_dict()[quantity].astype(float)
        assert variances[quantity].mean() == pytest.approx(values.var(), rel=0.05)
    signal_error = np.square(measured.signal - truth.signal).mean()
    assert signal_error == pytest.approx(variances["signal"].mean(), rel=0.02)


@pytest.mark.slow
def test_without_noise_the_floor_is_zero() -> None:
    matched, truth = uniform_voxels(sigma=0.0)
    for values in noise_variances(matched, truth.signal, b0_count=2, seed=1).values():
        np.testing.assert_allclose(values, 0, atol=1e-12)
