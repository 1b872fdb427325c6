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


def signals(seed: int, voxels: int = 7) -> Float[np.ndarray, "v 21"]:
    """Coefficients whose orders are within MAX_GAIN of each other's power."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((voxels, 21))
    for group in ORDERS:
        values[:, group] *= rng.uniform(0.5, 2, (voxels, 1)) / np.linalg.norm(
            values[:, group], axis=1, keepdims=True
        )
    return values


def test_power_of_a_constant_and_of_an_axial_signal_is_the_closed_form() -> None:
    table, axis = sphere(60), np.array([0.36, 0.48, -0.8])
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
    table, orders = sphere(40), order_indices((Shell(1000.0, 4),))
    turned = (
        coefficients @ basis(table @ turn(*angles), 4).T @ fitting_matrix(table, 4, smoothing=0.0).T
    )
    np.testing.assert_allclose(rish(turned, orders), rish(coefficients, orders), rtol=1e-9)


@given(SEEDS)
def test_projected_power_is_that_of_the_prediction(seed: int) -> None:
    measured, predicted = signals(seed), signals(seed + 1)
    projection = project_rish(measured, predicted, ORDERS)
    np.testing.assert_allclose(
        rish(projection.coefficients, ORDERS), rish(predicted, ORDERS), rtol=1e-9
    )
    assert projection.limited_share == 0


@given(SEEDS)
def test_projected_orientation_is_that_of_the_scan(seed: int) -> None:
    measured, predicted = signals(seed), signals(seed + 1)
    projected = project_rish(measured, predicted, ORDERS).coefficients
    for group in ORDERS:
        cosine = (projected[:, group] * measured[:, group]).sum(axis=1)
        cosine /= np.linalg.norm(projected[:, group], axis=1) * np.linalg.norm(
            measured[:, group], axis=1
        )
        np.testing.assert_allclose(cosine, 1, rtol=1e-9)


@given(SEEDS)
def test_prediction_that_changes_nothing_changes_nothing(seed: int) -> None:
    measured = signals(seed)
    np.testing.assert_allclose(
        project_rish(measured, measured, ORDERS).coefficients, measured, rtol=1e-12
    )


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_order_without_power_takes_the_prediction_itself(share: float) -> None:
    measured, predicted = signals(0), signals(1)
    measured[:3, ORDERS[1]] *= np.sqrt(share * MIN_ORDER_POWER) / np.linalg.norm(
        measured[:3, ORDERS[1]], axis=1, keepdims=True
    )
    projection = project_rish(measured, predicted, ORDERS)
    np.testing.assert_array_equal(projection.coefficients[:3, ORDERS[1]], predicted[:3, ORDERS[1]])
    np.testing.assert_allclose(
        rish(projection.coefficients, ORDERS), rish(predicted, ORDERS), rtol=1e-9
    )
    assert projection.limited_share == pytest.approx(3 / (7 * 5))


def test_gain_is_held_at_its_limit() -> None:
    measured, predicted = signals(0), signals(1)
    predicted[:2, ORDERS[2]] = (
        1.01 * MAX_GAIN * np.linalg.norm(measured[:2, ORDERS[2]], axis=1, keepdims=True)
    )
    projection = project_rish(measured, predicted, ORDERS)
    np.testing.assert_allclose(
        projection.coefficients[:2, ORDERS[2]], MAX_GAIN * measured[:2, ORDERS[2]], rtol=1e-12
    )
    assert projection.limited_share == pytest.approx(2 / (7 * 5))


def test_order_predicted_to_vanish_vanishes() -> None:
    measured, predicted = signals(0), signals(1)
    predicted[:, ORDERS[4]] = 0
    np.testing.assert_array_equal(
        project_rish(measured, predicted, ORDERS).coefficients[:, ORDERS[4]], 0
    )


def test_arguments_are_left_as_they_are() -> None:
    measured, predicted = signals(0), signals(1)
    project_rish(measured, predicted, ORDERS)
    np.testing.assert_array_equal(measured, signals(0))
    np.testing.assert_array_equal(predicted, signals(1))
