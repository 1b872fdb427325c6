"""From values at scattered points to values on a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

# Closes the holes that splatting leaves where points are a voxel apart, and hardly smooths.
BLUR_SIGMA_VOXELS = 0.5
# A voxel in a sheet or row of points has more; one that only the tail of a point touches has less.
MIN_POINTS_PER_VOXEL = 0.2
# Registration stretches heads by less. Points farther apart have larger voxels than the grid, and
# are spread as widely, relative to their distance, as points so far apart.
MAX_NEIGHBOUR_DISTANCE = 1.2
MAX_MEASURED_DISTANCES = 5000  # enough for a median
TENT_VARIANCE = 1 / 6  # of trilinear weights, along an axis
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

    Scans with larger voxels than the grid's leave larger holes, so their points are blurred more,
    and fewer of them are asked for. Source: normalized convolution, Knutsson and Westin 1993.

    Parameters
    ----------
    voxels
        Positions of the values in voxel units; those outside the grid are ignored.
    """
    spread = max(1.0, _neighbour_distance(voxels) / MAX_NEIGHBOUR_DISTANCE)
    weights = _blur(_splat_channel(voxels, np.ones(len(voxels)), shape), spread)
    mask = weights > MIN_POINTS_PER_VOXEL / spread**3
    grid = np.zeros((*shape, values.shape[1]), dtype=np.float32)
    for channel in range(values.shape[1]):
        total = _blur(_splat_channel(voxels, values[:, channel], shape), spread)
        grid[mask, channel] = total[mask] / weights[mask]
    return SplattedValues(grid, mask)


def _neighbour_distance(voxels: Float[np.ndarray, "p 3"]) -> float:
    """Median distance of a point to the nearest other one, in voxels; 0 without another."""
    if len(voxels) < 2:
        return 0.0
    some = voxels[:: max(1, len(voxels) // MAX_MEASURED_DISTANCES)]
    distances, _ = cKDTree(voxels).query(some, k=2)  # the first one is the point itself
    return float(np.median(distances[:, 1]))


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


def _blur(image: Float[np.ndarray, "x y z"], spread: float) -> Float[np.ndarray, "x y z"]:
    """Blur so that tent and blur together are so many times as wide as for points a voxel apart."""
    usual = BLUR_SIGMA_VOXELS**2
    sigma = np.sqrt(usual + (spread**2 - 1) * (usual + TENT_VARIANCE))
    return np.asarray(gaussian_filter(image, sigma, mode="constant"))
