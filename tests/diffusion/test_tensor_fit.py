"""DIPY is the oracle of the tensor fit."""

from __future__ import annotations

import numpy as np
import pytest
from dipy.core.gradients import gradient_table
from dipy.reconst.dti import TensorModel
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float

from bids_shresnet.diffusion.tensor_fit import fit_weighted_tensors
from tests.diffusion.heads import sphere

BVECS = np.concatenate([np.zeros((2, 3)), sphere(30)])
SCHEMES = {
    "one shell": np.concatenate([np.zeros(2), np.full(30, 1000.0)]),
    "two shells": np.concatenate([np.zeros(2), np.full(10, 700.0), np.full(20, 1500.0)]),
    "scattered": np.concatenate([np.zeros(2), np.linspace(985.0, 1015.0, 30)]),
}
FA_TOLERANCE = 1e-6
RELATIVE_MD_TOLERANCE = 1e-6


def measure_tissue(
    bvals: Float[np.ndarray, " n"], voxels: int, snr: float, seed: int
) -> Float[np.ndarray, "v n"]:
    """Tensors from CSF to the tightest tract, with Gaussian noise that may go below zero."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.standard_normal((voxels, 3, 3)))[0]
    eigenvalues = rng.uniform(0.05e-3, 3e-3, (voxels, 1, 3))
    tensors = (axes * eigenvalues) @ axes.swapaxes(1, 2)
    exponents = np.einsum("ni,vij,nj->vn", BVECS, tensors, BVECS) * bvals
    noise = rng.standard_normal(exponents.shape) / snr
    return np.asarray(800 * (np.exp(-exponents) + noise))


@pytest.mark.parametrize("bvals", SCHEMES.values(), ids=SCHEMES)
@settings(max_examples=20)
@given(st.floats(5, 100), st.integers(0, 2**31))
def test_fa_md_and_directions_are_those_of_dipy(
    bvals: Float[np.ndarray, " n"], snr: float, seed: int
) -> None:
    signal = np.maximum(measure_tissue(bvals, 40, snr, seed), 8)  # lower ones have their own test
    table = gradient_table(bvals, bvecs=BVECS)
    expected = TensorModel(table, fit_method="WLS").fit(signal)
    fit = fit_weighted_tensors(signal, bvals, BVECS)
    np.testing.assert_allclose(fit.fa, expected.fa, atol=FA_TOLERANCE)
    np.testing.assert_allclose(fit.md, expected.md, rtol=RELATIVE_MD_TOLERANCE)
    np.testing.assert_allclose(fit.matrices, expected.quadratic_form, atol=1e-9)
    is_distinct = expected.evals[:, 0] > 1.01 * expected.evals[:, 1]
    cosines = np.sum(fit.directions * expected.evecs[..., 0], axis=1)[is_distinct]
    np.testing.assert_allclose(np.abs(cosines), 1, atol=1e-6)


def test_voxels_at_and_below_zero_are_those_of_dipy() -> None:
    """Their logarithm is that of the lowest signal, so that the weights span ten decades."""
    bvals = SCHEMES["one shell"]
    signal = measure_tissue(bvals, 500, 3.0, seed=1)
    assert (signal <= 0).any(axis=1).mean() > 0.2
    expected = TensorModel(gradient_table(bvals, bvecs=BVECS), fit_method="WLS").fit(signal)
    fit = fit_weighted_tensors(signal, bvals, BVECS)
    np.testing.assert_allclose(fit.fa, expected.fa, atol=1e-3)


def test_fit_does_not_depend_on_the_voxels_beside() -> None:
    """Chunks have 2048 voxels; BLAS may round a product of other sizes in another way."""
    bvals = SCHEMES["one shell"]
    signal = measure_tissue(bvals, 5000, 30.0, seed=2)
    whole = fit_weighted_tensors(signal, bvals, BVECS)
    part = fit_weighted_tensors(signal[4000:4200], bvals, BVECS)
    np.testing.assert_allclose(whole.fa[4000:4200], part.fa, atol=1e-9)


def test_a_scheme_that_determines_no_tensor_gives_finite_maps() -> None:
    """Directions within a plane say nothing of what is across it."""
    turns = np.linspace(0, np.pi, 12, endpoint=False)
    plane = np.stack([np.cos(turns), np.sin(turns), np.zeros(12)], axis=1)
    bvecs = np.concatenate([np.zeros((1, 3)), plane])
    bvals = np.array([0.0] + [1000.0] * 12)
    signal = np.where(bvals > 0, 400.0, 1000.0)[None]
    fit = fit_weighted_tensors(signal, bvals, bvecs)
    assert np.isfinite(fit.matrices).all()
    expected = np.log(1000 / 400) / 1000
    np.testing.assert_allclose(np.diag(fit.matrices[0])[:2], expected, rtol=1e-4)


def test_no_voxels_have_no_tensors() -> None:
    fit = fit_weighted_tensors(np.empty((0, 32)), SCHEMES["one shell"], BVECS)
    assert fit.fa.shape == (0,)
