"""Values of an image at any point: patch by patch, as the network sees them, or voxel by voxel."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt, map_coordinates

from bids_shresnet.scans import ShImage

ROUNDING_TOLERANCE = 1e-4  # of the weight of a point's neighbours
SPLINE_ORDER = 3  # keeps sharpness, and more of the noise than linear interpolation
POSITION_DECIMALS = 6  # of voxel units
PATCH_STEPS = np.stack(np.meshgrid(*(np.arange(-1, 2),) * 3, indexing="ij"), -1).reshape(27, 3)


def world_to_voxels(
    points: Float[np.ndarray, "p 3"], affine: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "p 3"]:
    """World positions (RAS+ mm) in voxel units of a grid."""
    inverse = np.linalg.inv(affine)
    return np.asarray(points @ inverse[:3, :3].T + inverse[:3, 3])


def sample_patches(image: ShImage, points: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, "p 27 n"]:
    """Sample the channels of the 3x3x3 neighbours of each point.

    Neighbours are at the image's own spacing and along its own axes.

    Parameters
    ----------
    points
        World positions, RAS+ mm.

    Returns
    -------
    Half precision (4 digits, a tenth of the noise), neighbours in C order (x slowest), zero
    outside the image.
    """
    centres = _rounded_voxels(image.affine, points)
    positions = (centres[:, None] + PATCH_STEPS).reshape(-1, 3)
    channels = image.channels
    values = _interpolate_splines(channels, positions, np.float16)
    return values.reshape(len(points), 27, channels.shape[3])


def sample_image(
    values: Float[np.ndarray, "x y z n"],
    affine: Float[np.ndarray, "4 4"],
    points: Float[np.ndarray, "p 3"],
) -> Float[np.ndarray, "p n"]:
    """Sample an image at world positions (RAS+ mm); zero outside it."""
    return _interpolate_splines(values, _rounded_voxels(affine, points), np.float32)


def sample_inside(
    values: Float[np.ndarray, "x y z n"],
    mask: Bool[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
    points: Float[np.ndarray, "p 3"],
) -> Float[np.ndarray, "p n"]:
    """Sample an image at world positions (RAS+ mm) from the voxels of a mask alone.

    A voxel outside the mask counts as its nearest voxel inside, so that what lies at the edge of
    the brain is not mixed with the zeros around it.
    """
    nearest = _nearest_inside(mask.tobytes(), mask.shape)
    return sample_image(values[tuple(nearest)], affine, points)


@lru_cache(maxsize=2)  # the maps of a scan are sampled one after another, with one mask
def _nearest_inside(mask: bytes, shape: tuple[int, ...]) -> Int[np.ndarray, "3 x y z"]:
    """Indices of the nearest voxel of a mask, for each voxel."""
    is_outside = ~np.frombuffer(mask, bool).reshape(shape)
    return np.asarray(
        distance_transform_edt(is_outside, return_distances=False, return_indices=True)
    )


def has_signal_around(image: ShImage, points: Float[np.ndarray, "p 3"]) -> Bool[np.ndarray, " p"]:
    """Return whether all voxels around each point have signal, so that its value is measured."""
    has_signal = (image.mask & (image.coefficients[..., 0] > 0)).astype(np.float32)
    share = map_coordinates(has_signal, _rounded_voxels(image.affine, points).T, order=1)
    return np.asarray(share > 1 - ROUNDING_TOLERANCE)


def interpolate_grid(
    grid: Float[np.ndarray, "x y z *n"], voxels: Float[np.ndarray, "p 3"]
) -> Float[np.ndarray, "p *n"]:
    """Interpolate a grid linearly at positions in voxel units; beyond its edge, repeat the edge."""
    channels = grid.reshape(*grid.shape[:3], -1)
    columns = [
        map_coordinates(channels[..., i], voxels.T, order=1, mode="nearest", output=np.float32)
        for i in range(channels.shape[3])
    ]
    return np.stack(columns, axis=1).reshape(len(voxels), *grid.shape[3:])


def _rounded_voxels(
    affine: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "p 3"]
) -> Float[np.ndarray, "p 3"]:
    # Without rounding, half of the outermost voxels lie a hair outside, where everything is zero.
    return np.asarray(np.round(world_to_voxels(points, affine), POSITION_DECIMALS))


def _interpolate_splines(
    values: Float[np.ndarray, "x y z n"],
    positions: Float[np.ndarray, "p 3"],
    dtype: type[np.floating],
) -> Float[np.ndarray, "p n"]:
    """Interpolate each channel at positions in voxel units."""
    samples = np.empty((len(positions), values.shape[3]), dtype=dtype)
    for channel in range(values.shape[3]):
        samples[:, channel] = map_coordinates(
            values[..., channel], positions.T, output=np.float32, order=SPLINE_ORDER
        )
    return samples
