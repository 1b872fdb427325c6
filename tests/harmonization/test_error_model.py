from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.diffusion.attenuation import MIN_RELATIVE_SIGNAL
from bids_shresnet.diffusion.harmonics import basis, l_values
from bids_shresnet.harmonization.error_model import (
    ERROR_DRAWS,
    ERROR_STREAM,
    ErrorModel,
    Factors,
)
from bids_shresnet.scans import Dwi, Shell, Tissue
from tests.diffusion.heads import make_dwi, sphere

GRID = (8, 8, 8)
MASK = np.ones(GRID, bool)
TISSUE = np.repeat([Tissue.WM, Tissue.GM, 0, 0], 2)[:, None, None] * np.ones(GRID, int)
DIRECTIONS = sphere(30)
S0 = 1000.0


def tensor_dwi(diffusivities: tuple[float, float, float]) -> Dwi:
    """The same tensor everywhere, without noise; b = 1000."""
    exponents = np.square(DIRECTIONS) @ np.array(diffusivities)
    relative = np.broadcast_to(np.exp(-1000 * exponents), (*GRID, len(DIRECTIONS)))
    return make_dwi(relative.astype(np.float32), np.full(len(DIRECTIONS), 1000.0), DIRECTIONS)


def error_model(deviation: float, factors: Factors | None = None) -> ErrorModel:
    """Equal variance of all coefficients, which gives S/S0 this standard deviation."""
    return ErrorModel(
        variance=np.full((*GRID, 3), deviation**2 * 4 * np.pi / 15, np.float32),
        s0=np.full(GRID, S0),
        shells=[Shell(1000.0, 4)],
        tissue=TISSUE,
        factors=factors or {},
        seed=1,
    )


def draw(
    model: ErrorModel, dwi: Dwi, signal: Float[np.ndarray, "v d"], count: int
) -> Float[np.ndarray, "n v d"]:
    return np.stack([*model.draw(signal, (dwi.bvals, dwi.bvecs), MASK, numbers=range(count))])


def test_every_direction_varies_as_much_as_the_variance_says() -> None:
    dwi = tensor_dwi((1.2e-3, 0.5e-3, 0.5e-3))
    signal = dwi.data[MASK].astype(float)
    draws = draw(error_model(0.02), dwi, signal, 4)
    errors = (draws - signal)[..., ~dwi.is_b0] / S0
    np.testing.assert_allclose(errors.std(axis=(0, 1)), 0.02, rtol=0.1)
    assert errors.std() == pytest.approx(0.02, rel=0.03)
    for drawn in draws:
        np.testing.assert_array_equal(drawn[:, dwi.is_b0], signal[:, dwi.is_b0])


def test_draws_of_one_number_are_equal_and_of_others_differ() -> None:
    dwi = tensor_dwi((1e-3, 0.5e-3, 0.5e-3))
    signal = dwi.data[MASK].astype(float)
    draws = draw(error_model(0.02), dwi, signal, 2)
    np.testing.assert_array_equal(draw(error_model(0.02), dwi, signal, 1)[0], draws[0])
    assert not np.array_equal(draws[0], draws[1])


def test_a_draw_is_the_signal_and_random_coefficients_of_each_shell() -> None:
    """They are drawn shell by shell; nothing falls below the lowest signal, or a lower one."""
    bvals = np.repeat([0.0, 1000.0, 3000.0], [2, 6, 15])
    bvecs = np.concatenate([np.zeros((2, 3)), DIRECTIONS[:21]])
    shells = (Shell(1000.0, 2), Shell(3000.0, 4))
    variance = np.random.default_rng(2).uniform(0, 0.1, (*GRID, 5))
    model = replace(error_model(0.0), shells=shells, variance=variance)
    signal = np.random.default_rng(3).uniform(0, S0, (MASK.sum(), len(bvals)))
    [drawn] = model.draw(signal, (bvals, bvecs), MASK, numbers=[7])
    rng = np.random.default_rng([1, ERROR_STREAM + 7])
    expected = signal.copy()
    for shell, orders in zip(shells, ([0, 1], [2, 3, 4]), strict=True):
        deviation = np.sqrt(variance[MASK][:, orders])[:, l_values(shell.sh_order) // 2]
        coefficients = rng.standard_normal(deviation.shape) * deviation
        is_in_shell = bvals == shell.bvalue
        matrix = basis(bvecs[is_in_shell], shell.sh_order)
        expected[:, is_in_shell] += S0 * coefficients @ matrix.T
    expected = np.maximum(expected, np.minimum(signal, MIN_RELATIVE_SIGNAL * S0))
    np.testing.assert_allclose(drawn, expected, rtol=1e-9)


def test_the_uncertainty_of_md_is_that_of_the_mean_signal() -> None:
    """Isotropic: MD = -log(mean S) / b, and only order 0 of 15 coefficients moves the mean."""
    deviation = 0.01
    maps = error_model(deviation).fit_maps(tensor_dwi((0.7e-3,) * 3), MASK)
    expected = deviation / np.sqrt(15) / (1000 * np.exp(-0.7))
    assert ERROR_DRAWS >= 8
    assert np.sqrt(np.square(maps.md).mean()) == pytest.approx(expected, rel=0.1)
    np.testing.assert_allclose(maps.signal, deviation, rtol=1e-5)


def test_an_error_of_order_0_moves_md_and_one_of_order_2_moves_fa() -> None:
    dwi = tensor_dwi((0.9e-3, 0.6e-3, 0.6e-3))
    only_order_0 = replace(error_model(0.01), variance=np.full((*GRID, 3), [1e-4, 0, 0]))
    only_order_2 = replace(error_model(0.01), variance=np.full((*GRID, 3), [0, 1e-4, 0]))
    first = only_order_0.fit_maps(dwi, MASK)
    second = only_order_2.fit_maps(dwi, MASK)
    assert first.md.mean() > 3 * second.md.mean()
    assert second.fa.mean() > 3 * first.fa.mean()
    np.testing.assert_allclose(first.signal, np.sqrt(1e-4 / (4 * np.pi)), rtol=1e-5)
    np.testing.assert_allclose(second.signal, np.sqrt(5e-4 / (4 * np.pi)), rtol=1e-5)


def test_factors_scale_each_map_and_tissue_alone() -> None:
    """Between the tissues, the factor is the geometric mean."""
    dwi = tensor_dwi((1.4e-3, 0.4e-3, 0.4e-3))
    plain = error_model(0.01).fit_maps(dwi, MASK)
    factors = {("WM", "signal"): 2.0, ("GM", "signal"): 8.0, ("WM", "FA"): 3.0, ("GM", "MD"): 4.0}
    scaled = error_model(0.01, factors).fit_maps(dwi, MASK)
    expected = {"signal": (2, 8, 4), "fa": (3, 1, np.sqrt(3)), "md": (1, 4, 2)}
    for name, by_tissue in expected.items():
        ratios = getattr(scaled, name) / getattr(plain, name)
        for tissue, factor in zip((Tissue.WM, Tissue.GM, 0), by_tissue, strict=True):
            np.testing.assert_allclose(ratios[tissue == TISSUE], factor, rtol=1e-5)


def test_nothing_is_uncertain_where_nothing_was_predicted() -> None:
    maps = error_model(0.0).fit_maps(tensor_dwi((1.4e-3, 0.4e-3, 0.4e-3)), MASK)
    assert not maps.signal.any()
    np.testing.assert_allclose(maps.fa, 0, atol=1e-6)
    np.testing.assert_allclose(maps.md, 0, atol=1e-9)
