from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.evaluation.noise_floor import noise_variances
from tests.evaluation.voxels import measured_quantities, uniform_voxels


@pytest.mark.slow
def test_the_floor_is_the_error_of_the_truth_against_a_measurement() -> None:
    """The measurement is another draw of the same noise."""
    matched, truth = uniform_voxels(sigma=0.02)
    variances = noise_variances(matched, truth.signal, seed=1)
    measured = measured_quantities(matched)
    assert variances["signal"].mean() == pytest.approx(0.02**2)
    for quantity in ("FA", "MD"):
        values = measured.to_dict()[quantity].astype(float)
        assert variances[quantity].mean() == pytest.approx(values.var(), rel=0.05)
    signal_error = np.square(measured.signal - truth.signal).mean()
    assert signal_error == pytest.approx(variances["signal"].mean(), rel=0.02)


@pytest.mark.slow
def test_without_noise_the_floor_is_zero() -> None:
    matched, truth = uniform_voxels(sigma=0.0)
    for values in noise_variances(matched, truth.signal, seed=1).values():
        np.testing.assert_allclose(values, 0, atol=1e-12)
