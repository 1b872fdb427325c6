"""From values at scattered points to values on a grid, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter, map_coordinates

BLUR_SIGMA_VOXELS = 0.5  # voxels; closes the holes that splatting leaves where points are a voxel apart, and hardly smooths
MIN_POINTS_PER_VOXEL = 0.2  # points a voxel; a voxel in a sheet or row of points has more, one that a point's tail touches less
CORNER_OFFSETS = np.stack(np.meshgrid(*(np.arange(2),) * 3, indexing="ij"), -1).reshape(8, 3)


@dataclass(frozen=True)
class SplattedValues:
    """Values on a grid, zero where no point is near, and where points are."""

    grid: Float[np.ndarray, "x y z n"]
    mask: Bool[np.ndarray, "x y z"]


def to_voxels(
    points: Float[np.ndarray, "p 3"], affine: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "p 3"]:
    """World positions in voxel units."""
    inverse = np.linalg.inv(affine)
    return np.asarray(points @ inverse[:3, :3].T + inverse[:3, 3])


def splat_values(
    voxels: Float[np.ndarray, "p 3"], values: Float[np.ndarray, "p n"], shape: tuple[int, int, int]
) -> SplattedValues:
    """Splat the values with trilinear weights, blur values and weights, divide (Knutsson and Westin 1993).

    Parameters
    ----------
    voxels
        Where the values are, in voxel units; those outside the grid are left out.
    """
    weights = _blur(_splat_channel(voxels, np.ones(len(voxels)), shape))
    reached = weights > MIN_POINTS_PER_VOXEL
    out = np.zeros((*shape, values.shape[1]), dtype=np.float32)
    for channel in range(values.shape[1]):
        out[reached, channel] = (
            _blur(_splat_channel(voxels, values[:, channel], shape))[reached] / weights[reached]
        )
    return SplattedValues(out, reached)


def interpolate_grid(
    grid: Float[np.ndarray, "x y z *n"], voxels: Float[np.ndarray, "p 3"]
) -> Float[np.ndarray, "p *n"]:
    """Values of a grid at points between its voxels, linearly; beyond its edge those of the edge."""
    channels = grid.reshape(*grid.shape[:3], -1)
    columns = [
        map_coordinates(channels[..., i], voxels.T, order=1, mode="nearest", output=np.float32)
        for i in range(channels.shape[3])
    ]
    return np.stack(columns, axis=1).reshape(len(voxels), *grid.shape[3:])


def _splat_channel(
    voxels: Float[np.ndarray, "p 3"], values: Float[np.ndarray, " p"], shape: tuple[int, int, int]
) -> Float[np.ndarray, "x y z"]:
    """Share each value among the eight voxels around it."""
    low = np.floor(voxels).astype(int)
    out = np.zeros(np.prod(shape))
    for corner in CORNER_OFFSETS:
        at = low + corner
        weights = (1 - np.abs(voxels - at)).prod(axis=1)
        inside = ((at >= 0) & (at < shape)).all(axis=1)
        flat = np.ravel_multi_index(tuple(at[inside].T), shape)
        out += np.bincount(flat, (weights * values)[inside], minlength=out.size)
    return out.reshape(shape)


def _blur(image: Float[np.ndarray, "x y z"]) -> Float[np.ndarray, "x y z"]:
    return np.asarray(gaussian_filter(image, BLUR_SIGMA_VOXELS, mode="constant"))
