"""Noise of a scan, from what is left when its harmonics are fitted without smoothing."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.diffusion.representation import Representation
from bids_shresnet.scans import Dwi

SMOOTHING_SIGMA_VOXELS = 2.5  # noise changes slowly in space (coil sensitivities, parallel imaging)
RELIABLE_S0_SHARE = (
    0.3  # of the median S0: where S0 is next to nothing, S/S0 has no noise to speak of
)
MIN_SPARE_DIRECTIONS = 5  # directions beyond the number of coefficients that an order needs, or the next lower one is fitted


def estimate_noise_variance(
    dwi: Dwi, representation: Representation, s0: Float[np.ndarray, "x y z"]
) -> Float[np.ndarray, " v"]:
    """Variance of the noise in one value of S/S0, for each voxel of the mask.

    Noise is smooth in scanner units; relative to S0 it is not, so it is averaged there. Where no shell has directions
    to spare, the repeated b0 volumes tell it; NaN where there is only one.

    Parameters
    ----------
    dwi, represented
        The scan and what was made of it.
    s0
        Mean b0 in scanner units.
    """
    mask = representation.image.mask
    dim = RELIABLE_S0_SHARE * float(np.median(s0[mask]))
    squares, free = _sum_squared_residuals(representation)
    squares = squares * np.square(s0[mask])
    if not free:
        b0s = dwi.data[mask][:, dwi.is_b0]
        squares, free = (
            np.square(b0s - b0s.mean(axis=1, keepdims=True)).sum(axis=1),
            b0s.shape[1] - 1,
        )
    if not free:
        return np.full(len(squares), np.nan)
    level = _average_locally(squares / free, mask, s0 > dim)
    return np.asarray(
        level / np.square(np.maximum(s0[mask], max(dim, float(np.finfo(np.float32).tiny))))
    )


def _sum_squared_residuals(representation: Representation) -> tuple[Float[np.ndarray, " v"], int]:
    """Sum of squares that unsmoothed fits of all shells leave, and its degrees of freedom."""
    squares, free, start = np.zeros(len(representation.signal)), 0, 0
    for table, shell in zip(representation.directions, representation.image.shells, strict=True):
        part = representation.signal[:, start : start + len(table)].astype(np.float64)
        start += len(table)
        orders = [
            order
            for order in range(2, shell.sh_order + 1, 2)
            if _count_coefficients(order) + MIN_SPARE_DIRECTIONS <= len(table)
        ]
        if orders:
            matrix = basis(table, orders[-1])
            squares += np.square(part - part @ np.linalg.pinv(matrix).T @ matrix.T).sum(axis=1)
            free += len(table) - matrix.shape[1]
    return squares, free


def _count_coefficients(order: int) -> int:
    return (order + 1) * (order + 2) // 2


def _average_locally(
    values: Float[np.ndarray, " v"],
    mask: Bool[np.ndarray, "x y z"],
    bright: Bool[np.ndarray, "x y z"],
) -> Float[np.ndarray, " v"]:
    """Local mean over the bright voxels of the mask."""
    image, weight = np.zeros(mask.shape), (mask & bright).astype(np.float64)
    image[mask] = values
    smooth = gaussian_filter(image * weight, SMOOTHING_SIGMA_VOXELS)
    return np.asarray(
        (smooth / np.maximum(gaussian_filter(weight, SMOOTHING_SIGMA_VOXELS), 1e-6))[mask]
    )
