"""Noise of a scan, from the residuals of spherical harmonics that are fitted without smoothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.harmonics import basis, order_indices, sh_coefficient_count
from bids_shresnet.diffusion.representation import Representation, unregularized_coefficients
from bids_shresnet.diffusion.rish import noise_power, rish
from bids_shresnet.diffusion.spatial.masking import average_locally, unmask
from bids_shresnet.scans import Dwi, Shell

SHARE_SIGMA_VOXELS = 1.0  # of the averages that tell true power from noise
SMOOTHING_SIGMA_VOXELS = 2.5  # noise changes slowly in space (coil sensitivities, parallel imaging)
VOXELS_PER_CHUNK = 50_000  # in double precision
RELIABLE_S0_SHARE = 0.3  # of the median S0; where S0 is lower, S/S0 says nothing about the noise
# Directions that a fit must have beyond its coefficients; else a lower order is fitted.
MIN_SPARE_DIRECTIONS = 5


@dataclass(frozen=True)
class ShellSignal:
    """S/S0 of one shell in the voxels of a mask, and its directions (world axes)."""

    shell: Shell
    directions: Float[np.ndarray, "d 3"]
    signal: Float[np.ndarray, "v d"]


def estimate_noise_variance(
    dwi: Dwi,
    mask: Bool[np.ndarray, "x y z"],
    s0: Float[np.ndarray, "x y z"],
    shells: Sequence[ShellSignal],
) -> Float[np.ndarray, " v"]:
    """Estimate the variance of the noise in one value of S/S0, for each voxel of the mask.

    Noise is smooth in scanner units but not relative to S0, so it is averaged in scanner units.

    Parameters
    ----------
    s0
        Mean b0 in scanner units.

    Returns
    -------
    From the repeated b0 volumes if no shell has directions to spare; NaN if there is only one.
    """
    s0_values = s0[mask]
    min_reliable_s0 = RELIABLE_S0_SHARE * float(np.median(s0_values))
    squares, degrees_of_freedom = _sum_squared_residuals(shells)
    squares = squares * np.square(s0_values)
    if not degrees_of_freedom:
        squares, degrees_of_freedom = _sum_squared_b0_residuals(dwi, mask)
    if not degrees_of_freedom:
        return np.full(len(squares), np.nan)
    is_reliable = mask & (s0 > min_reliable_s0)
    volume = unmask(squares / degrees_of_freedom, mask)
    variance = average_locally(volume, is_reliable, SMOOTHING_SIGMA_VOXELS)[mask]
    floor = max(min_reliable_s0, float(np.finfo(np.float32).tiny))
    return np.asarray(variance / np.square(np.maximum(s0_values, floor)))


def estimate_true_shares(
    representation: Representation, voxels: Bool[np.ndarray, "x y z"]
) -> list[list[Float[np.ndarray, "x y z"]]]:
    """Estimate the share of the power of each order around a voxel that is not noise, 0 to 1.

    Parameters
    ----------
    voxels
        Those of the mask that are averaged over, such as one tissue.

    Returns
    -------
    One list for each shell, with an image for each order above 0; 1 where the noise is not known.
    """
    mask = representation.image.mask
    known = np.nan_to_num(representation.noise_variance)
    shares = []
    for powers, noise_powers in measure_powers(representation):
        orders = zip(powers.T[1:], noise_powers[1:], strict=True)
        pairs = [(unmask(power, mask), unmask(noise * known, mask)) for power, noise in orders]
        shares.append([_smooth_share(power, noise, voxels) for power, noise in pairs])
    return shares


def measure_powers(
    representation: Representation,
) -> list[tuple[Float[np.ndarray, "v o"], Float[np.ndarray, " o"]]]:
    """Measure the power of every order of each shell, without smoothing.

    Returns
    -------
    For each shell the powers (RISH) in the voxels of the mask, and what noise of variance 1 in each
    value of S/S0 adds to them.
    """
    coefficients = unregularized_coefficients(representation)
    shells = []
    start = 0
    for table, shell in zip(representation.directions, representation.image.shells, strict=True):
        own = coefficients[:, start : start + shell.coefficient_count]
        start += shell.coefficient_count
        orders = order_indices([shell])
        inverse = np.linalg.pinv(basis(table, shell.sh_order)).T
        shells.append((rish(own, orders), noise_power(inverse, orders)))
    return shells


def _smooth_share(
    power: Float[np.ndarray, "x y z"],
    noise: Float[np.ndarray, "x y z"],
    voxels: Bool[np.ndarray, "x y z"],
) -> Float[np.ndarray, "x y z"]:
    """Share of the mean power around a voxel that is not noise."""
    averages = [
        average_locally(image, voxels, SHARE_SIGMA_VOXELS) for image in (power - noise, power)
    ]
    tiny = np.finfo(np.float64).tiny
    return np.asarray(np.clip(averages[0] / np.maximum(averages[1], tiny), 0, 1))


def _sum_squared_b0_residuals(
    dwi: Dwi, mask: Bool[np.ndarray, "x y z"]
) -> tuple[Float[np.ndarray, " v"], int]:
    """Sum of squared differences from the mean b0, and its degrees of freedom."""
    b0s = dwi.data[mask][:, dwi.is_b0]
    squares = np.square(b0s - b0s.mean(axis=1, keepdims=True)).sum(axis=1)
    return squares, b0s.shape[1] - 1


def _sum_squared_residuals(shells: Sequence[ShellSignal]) -> tuple[Float[np.ndarray, " v"], int]:
    """Sum of squared residuals over all shells, and its degrees of freedom."""
    squares = np.zeros(len(shells[0].signal))
    degrees_of_freedom = 0
    for part in shells:
        order = _highest_order(part.shell, len(part.directions))
        if order is not None:
            matrix = basis(part.directions, order)
            for first in range(0, len(squares), VOXELS_PER_CHUNK):
                rows = slice(first, first + VOXELS_PER_CHUNK)
                values = part.signal[rows].astype(np.float64)
                squares[rows] += _squared_residuals(values, matrix)
            # repeated directions determine fewer coefficients
            degrees_of_freedom += len(matrix) - int(np.linalg.matrix_rank(matrix))
    return squares, degrees_of_freedom


def _squared_residuals(
    signal: Float[np.ndarray, "v d"], matrix: Float[np.ndarray, "d c"]
) -> Float[np.ndarray, " v"]:
    fitted = signal @ np.linalg.pinv(matrix).T @ matrix.T
    return np.asarray(np.square(signal - fitted).sum(axis=1))


def _highest_order(shell: Shell, direction_count: int) -> int | None:
    """Highest order, from 2 to that of the shell, that leaves directions to spare."""
    orders = [
        order
        for order in range(2, shell.sh_order + 1, 2)
        if sh_coefficient_count(order) + MIN_SPARE_DIRECTIONS <= direction_count
    ]
    return orders[-1] if orders else None
