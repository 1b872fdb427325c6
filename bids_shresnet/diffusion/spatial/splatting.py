"""From values at scattered points to values on a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

# Closes the holes that splatting leaves where points are a voxel apart, and hardly smooths.
BLUR_SIGMA_VOXELS = 0.5
# A voxel in a sheet or row of points has more; one that only the tail of a point touches has less.
MIN_POINTS_PER_VOXEL = 0.2
CORNER_OFFSETS = np.stack(np.meshgrid(*(np.arange(2),) * 3, indexing="ij"), -1).reshape(8, 3)


@dataclass(frozen=True)
class SplattedValues:
    """Values on a grid, zero where no point is near, and the mask of voxels near a point."""

    grid: Float[np.ndarray, "x y z n"]
    mask: Bool[np.ndarray, "x y z"]


def splat_values(
    voxels: Float[np.ndarray, "p 3"], values: Float[np.ndarray, "p n"], shape: tuple[int, int, int]
) -> SplattedValues:
    """Splat values with trilinear weights, blur values and weights, and divide.

    Source: normalized convolution, Knutsson and Westin 1993.

    Parameters
    ----------
    voxels
        Positions of the values in voxel units; those outside the grid are ignored.
    """
    weights = _blur(_splat_channel(voxels, np.ones(len(voxels)), shape))
    mask = weights > MIN_POINTS_PER_VOXEL
    grid = np.zeros((*shape, values.shape[1]), dtype=np.float32)
    for channel in range(values.shape[1]):
        total = _blur(_splat_channel(voxels, values[:, channel], shape))
        grid[mask, channel] = total[mask] / weights[mask]
    return SplattedValues(grid, mask)


def _splat_channel(
    voxels: Float[np.ndarray, "p 3"], values: Float[np.ndarray, " p"], shape: tuple[int, int, int]
) -> Float[np.ndarray, "x y z"]:
    """Share each value among the eight voxels around it."""
    lowest_corners = np.floor(voxels).astype(int)
    total = np.zeros(np.prod(shape))
    for offset in CORNER_OFFSETS:
        corners = lowest_corners + offset
        weights = (1 - np.abs(voxels - corners)).prod(axis=1)
        is_inside = ((corners >= 0) & (corners < shape)).all(axis=1)
        indices = np.ravel_multi_index(tuple(corners[is_inside].T), shape)
        total += np.bincount(indices, (weights * values)[is_inside], minlength=total.size)
    return total.reshape(shape)


def _blur(image: Float[np.ndarray, "x y z"]) -> Float[np.ndarray, "x y z"]:
    return np.asarray(gaussian_filter(image, BLUR_SIGMA_VOXELS, mode="constant"))
