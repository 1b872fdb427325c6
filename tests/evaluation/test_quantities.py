from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.diffusion.harmonics import basis, evaluation_matrix
from bids_shresnet.evaluation.quantities import (
    angular_correlation,
    mean_angle,
    nmse,
    quantities_from_coefficients,
)
from bids_shresnet.evaluation.results import QUANTITIES
from bids_shresnet.pairs import MatchedVoxels
from bids_shresnet.scans import Shell
from tests.diffusion.heads import sphere, turn

SHELLS = (Shell(1000.0, 4), Shell(2000.0, 4))
TABLES = sphere(30), sphere(40)
AXES = turn(10, 20, 30)
DIFFUSIVITIES = np.array([1.0e-3, 0.6e-3, 0.5e-3])  # mm2/s, so little that order 4 holds the signal


def target(voxels: int, *, sigma: float = 0.0) -> MatchedVoxels:
    bvals = np.repeat([shell.bvalue for shell in SHELLS], [len(table) for table in TABLES])
    return MatchedVoxels(
        patches=np.zeros((voxels, 27, 31), np.float16),
        signal=np.zeros((voxels, len(bvals)), np.float16),
        bvals=bvals,
        bvecs=np.concatenate(TABLES),
        sh_matrix=evaluation_matrix(TABLES, SHELLS).astype(np.float32),
        noise_variance=np.full(voxels, sigma**2, np.float32),
        source_s0=np.ones(voxels, np.float32),
        points=np.zeros((voxels, 3), np.float32),
        tissue=np.ones(voxels, np.uint8),
    )


def tensor_coefficients(
    voxels: int, diffusivities: Float[np.ndarray, " 3"] = DIFFUSIVITIES
) -> Float[np.ndarray, "v c"]:
    """Harmonics of the signal of one tensor at both b-values."""
    tensor, dense = AXES.T @ np.diag(diffusivities) @ AXES, sphere(200)
    parts = [
        np.linalg.pinv(basis(dense, 4))
        @ np.exp(-shell.bvalue * np.einsum("ni,ij,nj->n", dense, tensor, dense))
        for shell in SHELLS
    ]
    return np.tile(np.concatenate(parts).astype(np.float32), (voxels, 1))


def test_nmse_is_the_sum_of_squared_differences_over_that_of_the_truth() -> None:
    truth = np.array([[3.0, 4.0], [0.0, 5.0]])
    assert nmse(truth, truth) == 0
    assert nmse(truth, np.zeros((2, 2))) == 1
    assert nmse(truth, 10 * truth) == pytest.approx(81)
    assert nmse(truth, truth + np.array([[1, 0], [0, 2]])) == pytest.approx(5 / 50)


@pytest.mark.parametrize("degrees", [0.0, 10.0, 45.0, 90.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_angle_is_that_between_axes_which_have_no_sign(degrees: float, sign: int) -> None:
    one = sphere(20)
    across = np.cross(one, [0.3, 0.5, 0.8])
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    other = sign * (np.cos(np.radians(degrees)) * one + np.sin(np.radians(degrees)) * across)
    assert mean_angle(one, other) == pytest.approx(degrees, abs=1e-4)


def test_angle_is_the_mean_over_the_voxels() -> None:
    assert mean_angle(np.eye(3)[[0, 0]], np.eye(3)[[0, 1]]) == pytest.approx(45)


def test_angular_correlation_is_that_of_the_signals_over_the_whole_sphere() -> None:
    """Without order 0 both have the mean 0, so it is numpy's correlation over dense directions."""
    rng = np.random.default_rng(0)
    one, other = rng.standard_normal((2, 12, 14))
    dense = np.concatenate([sphere(4000), -sphere(4000)])
    matrix = basis(dense, 4)[:, 1:]
    expected = [np.corrcoef(matrix @ a, matrix @ b)[0, 1] for a, b in zip(one, other, strict=True)]
    assert angular_correlation(one, other) == pytest.approx(np.mean(expected), abs=2e-3)


def test_angular_correlation_ignores_the_size_and_is_0_for_an_isotropic_signal() -> None:
    coefficients = np.random.default_rng(0).standard_normal((5, 14))
    assert angular_correlation(coefficients, 3 * coefficients) == pytest.approx(1)
    assert angular_correlation(coefficients, -coefficients) == pytest.approx(-1)
    assert angular_correlation(coefficients, np.zeros_like(coefficients)) == 0


def test_quantities_of_a_tensors_coefficients_are_those_of_the_tensor() -> None:
    quantities = quantities_from_coefficients(tensor_coefficients(3), target(3))
    mean = DIFFUSIVITIES.mean()
    fa = np.sqrt(1.5 * np.square(DIFFUSIVITIES - mean).sum() / np.square(DIFFUSIVITIES).sum())
    np.testing.assert_allclose(quantities.tensor.md, mean, rtol=0.01)
    np.testing.assert_allclose(quantities.tensor.fa, fa, rtol=0.01)
    np.testing.assert_allclose(np.abs(quantities.tensor.direction @ AXES[0]), 1, atol=1e-3)


def test_quantities_have_their_names_in_tables() -> None:
    quantities = quantities_from_coefficients(tensor_coefficients(3), target(3))
    values = quantities.to_dict()
    assert tuple(values) == QUANTITIES
    np.testing.assert_array_equal(values["signal"], quantities.signal)
    np.testing.assert_array_equal(values["FA"], quantities.tensor.fa)
    np.testing.assert_array_equal(values["MD"], quantities.tensor.md)


def test_a_signal_that_diffusion_cannot_give_is_clipped() -> None:
    coefficients = tensor_coefficients(2)
    assert quantities_from_coefficients(10 * coefficients, target(2)).signal.max() == 1
    assert quantities_from_coefficients(-coefficients, target(2)).signal.max() == 0
