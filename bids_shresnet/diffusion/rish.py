"""Rotation-invariant spherical-harmonic (RISH) features, and the projection onto orientations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

MIN_ORDER_POWER = 1e-8  # (S/S0)^2; below this power an order has no orientation to keep
# A larger gain would amplify noise: heavy-tailed ratios are a known failure of RISH methods.
MAX_GAIN = 5.0


def rish(
    coefficients: Float[np.ndarray, "v c"], orders: Sequence[Int[np.ndarray, " _"]]
) -> Float[np.ndarray, "v o"]:
    """Power of every order: the sum of its squared coefficients (Mirzaalian et al. 2016)."""
    return np.stack([np.square(coefficients[:, group]).sum(axis=1) for group in orders], axis=1)


def noise_power(
    inverse: Float[np.ndarray, "d c"], orders: Sequence[Int[np.ndarray, " _"]]
) -> Float[np.ndarray, " o"]:
    """Mean power that noise of variance 1 in each value adds to every order.

    Coefficients are `signal @ inverse`.
    """
    return np.array([np.square(inverse[:, group]).sum() for group in orders])


def project_rish(
    measured: Float[np.ndarray, "v c"],
    predicted: Float[np.ndarray, "v c"],
    orders: Sequence[Int[np.ndarray, " _"]],
) -> Float[np.ndarray, "v c"]:
    """Give each order of the measured signal the power that is predicted (Eq. 1 of the paper).

    S'_l = S_l sqrt(RISH'_l / RISH_l) keeps the orientations of the scan. Where the measured power
    is next to nothing, the prediction itself is taken. The gain is at most `MAX_GAIN`.
    """
    measured_power = rish(measured, orders)
    is_powerless = measured_power < MIN_ORDER_POWER
    ratio = rish(predicted, orders) / np.where(is_powerless, 1, measured_power)
    gain = np.minimum(np.sqrt(ratio), MAX_GAIN)
    projected = np.empty_like(predicted)
    for column, group in enumerate(orders):
        scaled = measured[:, group] * gain[:, column, None]
        projected[:, group] = np.where(is_powerless[:, column, None], predicted[:, group], scaled)
    return projected
