from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float

from bids_shresnet.diffusion.harmonics import basis, fitting_matrix, order_indices
from bids_shresnet.diffusion.rish import MAX_GAIN, MIN_ORDER_POWER, project_rish, rish
from bids_shresnet.scans import Shell
from tests.diffusion.heads import sphere, turn

SEEDS = st.integers(0, 2**32 - 1)
SHELLS = (Shell(1000.0, 4), Shell(2000.0, 2))
ORDERS = order_indices(SHELLS)


def normalize(vectors: Float[np.ndarray, "v n"]) -> Float[np.ndarray, "v n"]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def draw_coefficients(seed: int, voxels: int = 7) -> Float[np.ndarray, "v 21"]:
    """Coefficients whose orders are within MAX_GAIN of each other's power."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((voxels, 21))
    for group in ORDERS:
        values[:, group] = normalize(values[:, group]) * rng.uniform(0.5, 2, (voxels, 1))
    return values


def test_power_of_a_constant_and_of_an_axial_signal_is_the_closed_form() -> None:
    table = sphere(60)
    axis = np.array([0.36, 0.48, -0.8])
    signal = 0.4 + 0.1 * (3 * (table @ axis) ** 2 - 1) / 2
    fitted = fitting_matrix(table, 4, smoothing=0.0) @ signal
    power = rish(fitted[None], order_indices((Shell(1000.0, 4),)))
    np.testing.assert_allclose(power, [[4 * np.pi * 0.4**2, 4 * np.pi / 5 * 0.1**2, 0]], atol=1e-12)


def test_power_is_the_sum_of_squares_of_each_order_of_each_shell() -> None:
    counting = np.arange(21.0)[None]
    expected = [
        0,
        1 + 4 + 9 + 16 + 25,
        sum(i**2 for i in range(6, 15)),
        225,
        sum(i**2 for i in range(16, 21)),
    ]
    np.testing.assert_allclose(rish(counting, ORDERS), [expected])


@given(SEEDS, st.tuples(*(st.floats(-180, 180),) * 3))
def test_power_is_unchanged_by_any_rotation(seed: int, angles: tuple[float, float, float]) -> None:
    coefficients = np.random.default_rng(seed).uniform(-1, 1, (3, 15))
    table = sphere(40)
    orders = order_indices((Shell(1000.0, 4),))
    signal_of_turned_head = coefficients @ basis(table @ turn(*angles), 4).T
    turned = signal_of_turned_head @ fitting_matrix(table, 4, smoothing=0.0).T
    np.testing.assert_allclose(rish(turned, orders), rish(coefficients, orders), rtol=1e-9)


@given(SEEDS)
def test_projected_power_is_that_of_the_prediction(seed: int) -> None:
    measured = draw_coefficients(seed)
    predicted = draw_coefficients(seed + 1)
    projected = project_rish(measured, predicted, ORDERS)
    np.testing.assert_allclose(rish(projected, ORDERS), rish(predicted, ORDERS), rtol=1e-9)


@given(SEEDS)
def test_projected_orientation_is_that_of_the_scan(seed: int) -> None:
    measured = draw_coefficients(seed)
    projected = project_rish(measured, draw_coefficients(seed + 1), ORDERS)
    for group in ORDERS:
        cosine = (normalize(projected[:, group]) * normalize(measured[:, group])).sum(axis=1)
        np.testing.assert_allclose(cosine, 1, rtol=1e-9)


@given(SEEDS)
def test_a_prediction_of_no_change_changes_nothing(seed: int) -> None:
    measured = draw_coefficients(seed)
    np.testing.assert_allclose(project_rish(measured, measured, ORDERS), measured, rtol=1e-12)


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_an_order_without_power_takes_the_prediction_itself(share: float) -> None:
    group = ORDERS[1]
    measured = draw_coefficients(0)
    predicted = draw_coefficients(1)
    measured[:3, group] = np.sqrt(share * MIN_ORDER_POWER) * normalize(measured[:3, group])
    projected = project_rish(measured, predicted, ORDERS)
    np.testing.assert_array_equal(projected[:3, group], predicted[:3, group])
    np.testing.assert_allclose(rish(projected, ORDERS), rish(predicted, ORDERS), rtol=1e-9)


def test_the_gain_is_held_at_its_limit() -> None:
    group = ORDERS[2]
    measured = draw_coefficients(0)
    predicted = draw_coefficients(1)
    power = np.linalg.norm(measured[:2, group], axis=1, keepdims=True)
    predicted[:2, group] = 1.01 * MAX_GAIN * power
    projected = project_rish(measured, predicted, ORDERS)
    np.testing.assert_allclose(projected[:2, group], MAX_GAIN * measured[:2, group], rtol=1e-12)
    power_below_limit = rish(predicted, ORDERS)[2:]
    np.testing.assert_allclose(rish(projected, ORDERS)[2:], power_below_limit, rtol=1e-9)


def test_an_order_predicted_to_vanish_vanishes() -> None:
    measured = draw_coefficients(0)
    predicted = draw_coefficients(1)
    predicted[:, ORDERS[4]] = 0
    projected = project_rish(measured, predicted, ORDERS)
    np.testing.assert_array_equal(projected[:, ORDERS[4]], 0)


def test_arguments_are_not_changed() -> None:
    measured = draw_coefficients(0)
    predicted = draw_coefficients(1)
    project_rish(measured, predicted, ORDERS)
    np.testing.assert_array_equal(measured, draw_coefficients(0))
    np.testing.assert_array_equal(predicted, draw_coefficients(1))
