from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float

from bids_shresnet.diffusion.bvalues import change_bvalues, change_signal_bvalues
from bids_shresnet.diffusion.harmonics import basis, evaluation_matrix
from bids_shresnet.diffusion.tensors import fit_tensor
from bids_shresnet.scans import Shell
from tests.diffusion.heads import sphere

TENSOR = np.diag([1.2e-3, 0.6e-3, 0.4e-3])  # mm2/s
SHELLS = (Shell(1000.0, 4), Shell(2000.0, 4))


def tensor_coefficients(bvalue: float) -> Float[np.ndarray, "1 c"]:
    """Harmonics of a Gaussian signal."""
    matrix = basis(sphere(200), 4)
    return (tensor_signal(sphere(200), bvalue) @ np.linalg.pinv(matrix).T)[None]


def tensor_signal(bvecs: Float[np.ndarray, "n 3"], bvalue: float) -> Float[np.ndarray, " n"]:
    return np.asarray(np.exp(-bvalue * np.einsum("ni,ij,nj->n", bvecs, TENSOR, bvecs)))


def test_a_gaussian_signal_becomes_that_of_the_other_b_value_shell_by_shell() -> None:
    measured = np.concatenate([tensor_coefficients(shell.bvalue) for shell in SHELLS], axis=1)
    expected = np.concatenate([tensor_coefficients(b) for b in (1200.0, 1700.0)], axis=1)
    changed = change_bvalues(measured, SHELLS, (1200.0, 1700.0))
    np.testing.assert_allclose(changed, expected, atol=2e-3)


@pytest.mark.parametrize("bvalue", [900.0, 1200.0])
def test_the_tensor_does_not_change(bvalue: float) -> None:
    shells = (Shell(1000.0, 4),)
    coefficients = change_bvalues(tensor_coefficients(1000.0), shells, (bvalue,))
    signal = coefficients @ evaluation_matrix([sphere(60)], shells).T
    with_s0 = np.concatenate([np.ones((1, 1)), signal], axis=1)
    bvecs = np.concatenate([np.zeros((1, 3)), sphere(60)])
    fit = fit_tensor(with_s0, np.array([0.0] + [bvalue] * 60), bvecs)
    assert fit.md[0] == pytest.approx(np.trace(TENSOR) / 3, rel=2e-3)


def test_there_and_back_is_the_identity_and_the_same_b_value_changes_no_bit() -> None:
    shells = (Shell(1000.0, 4),)
    coefficients = tensor_coefficients(1000.0)
    there = change_bvalues(coefficients, shells, (1200.0,))
    back = change_bvalues(there, (Shell(1200.0, 4),), (1000.0,))
    np.testing.assert_allclose(back, coefficients, atol=2e-3)
    np.testing.assert_array_equal(change_bvalues(coefficients, shells, (1000.0,)), coefficients)


def test_noise_below_zero_and_above_one_stays_possible() -> None:
    coefficients = 5 * np.random.default_rng(0).standard_normal((50, 15))
    changed = change_bvalues(coefficients, (Shell(1000.0, 4),), (500.0,))
    assert np.isfinite(changed).all()
    assert np.abs(changed[:, 0]).max() <= np.sqrt(4 * np.pi)


BVALS = np.full(30, 1000.0)


@given(st.floats(0.1e-3, 3e-3), st.floats(500, 2000), st.floats(1, 1e4))
def test_a_mono_exponential_signal_becomes_that_at_the_other_b_value(
    diffusivity: float, new_bvalue: float, s0: float
) -> None:
    signal = np.full((1, 30), s0 * np.exp(-1000 * diffusivity))
    changed = change_signal_bvalues(signal, s0, BVALS, np.full(30, new_bvalue))
    np.testing.assert_allclose(changed, s0 * np.exp(-new_bvalue * diffusivity), rtol=1e-4)


@pytest.mark.parametrize("new_bvalue", [800.0, 950.0, 1200.0])
def test_the_tensor_of_a_fibre_stays(new_bvalue: float) -> None:
    table = sphere(30)
    signal = np.exp(-1000 * (0.3e-3 + 1.4e-3 * table[:, 2] ** 2))[None]
    new_bvals = np.full(30, new_bvalue)
    changed = change_signal_bvalues(signal, 1.0, BVALS, new_bvals)
    tensors = [
        fit_tensor(
            np.concatenate([[[1.0]], values], axis=1),
            np.concatenate([[0.0], bvals]),
            np.concatenate([np.zeros((1, 3)), table]),
        )
        for values, bvals in ((signal, BVALS), (changed, new_bvals))
    ]
    assert tensors[1].md[0] == pytest.approx(tensors[0].md[0], rel=1e-3)
    assert tensors[1].fa[0] == pytest.approx(tensors[0].fa[0], rel=1e-3)
    assert tensors[0].md[0] == pytest.approx(2.3e-3 / 3, rel=1e-3)


def test_without_a_change_and_without_attenuation_values_stay_whatever_they_are() -> None:
    signal = np.random.default_rng(0).normal(0, 1000, (50, 30)).astype(np.float32)
    s0 = np.random.default_rng(1).uniform(-10, 1000, (50, 1)).astype(np.float32)
    np.testing.assert_array_equal(change_signal_bvalues(signal, s0, BVALS, BVALS), signal)
    above = np.maximum(signal, s0)
    np.testing.assert_allclose(change_signal_bvalues(above, s0, BVALS, 2 * BVALS), above, rtol=1e-6)


@pytest.mark.parametrize("new_bvalue", [300.0, 3000.0])
def test_no_signal_stays_no_signal(new_bvalue: float) -> None:
    zero = np.zeros((2, 30), np.float32)
    s0 = np.array([[0.0], [1000.0]], np.float32)
    changed = change_signal_bvalues(zero, s0, BVALS, np.full(30, new_bvalue))
    np.testing.assert_array_equal(changed, zero)


def test_a_signal_without_s0_or_above_it_is_not_attenuated_and_stays() -> None:
    signal = np.array([[5.0, 100.0], [150.0, 200.0]], np.float32)
    s0 = np.array([[0.0], [120.0]], np.float32)
    changed = change_signal_bvalues(signal, s0, np.array([1000.0, 1000.0]), [1200.0, 900.0])
    np.testing.assert_array_equal(changed, signal)
