"""Rotation-invariant spherical-harmonic features, and the projection that keeps a scan's own orientation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

MIN_ORDER_POWER = 1e-8  # (S/S0)^2; below this power an order has no orientation to keep
MAX_GAIN = 5.0  # a gain beyond it would blow up noise (heavy-tailed ratios are a known failure of RISH methods)


def rish(
    coefficients: Float[np.ndarray, "v c"], orders: Sequence[Int[np.ndarray, " _"]]
) -> Float[np.ndarray, "v o"]:
    """Power of every order: the sum of its squared coefficients (Mirzaalian et al. 2016)."""
    return np.stack([np.square(coefficients[:, group]).sum(axis=1) for group in orders], axis=1)


def noise_power(
    inverse: Float[np.ndarray, "d c"], orders: Sequence[Int[np.ndarray, " _"]]
) -> Float[np.ndarray, " o"]:
    """Mean power that noise of variance 1 in each value adds to every order; coefficients are signal @ inverse."""
    return np.array([np.square(inverse[:, group]).sum() for group in orders])


@dataclass(frozen=True)
class RishProjection:
    """Projected coefficients, and the share of (voxel, order) pairs where the guard held the gain back."""

    coefficients: Float[np.ndarray, "v c"]
    limited_share: float


def project_rish(
    measured: Float[np.ndarray, "v c"],
    predicted: Float[np.ndarray, "v c"],
    orders: Sequence[Int[np.ndarray, " _"]],
) -> RishProjection:
    """Give each order of the measured signal the power that the network predicts (Eq. 1 of the paper).

    S'_l = S_l sqrt(RISH'_l / RISH_l): orientations stay those of the scan. Where the measured power is next to
    nothing the prediction itself is taken, and a gain beyond `MAX_AMPLITUDE_GAIN` is held there.
    """
    before, after = rish(measured, orders), rish(predicted, orders)
    powerless = before < MIN_ORDER_POWER
    gain = np.sqrt(after / np.where(powerless, 1, before))
    held = ~powerless & (gain > MAX_GAIN)
    gain = np.minimum(gain, MAX_GAIN)
    out = np.empty_like(predicted)
    for column, group in enumerate(orders):
        scaled = measured[:, group] * gain[:, column, None]
        out[:, group] = np.where(powerless[:, column, None], predicted[:, group], scaled)
    return RishProjection(out, float((powerless | held).mean()))
