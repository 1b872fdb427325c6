"""Values of an image at any point: patch by patch, as the network will see them, or a voxel at a time."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import map_coordinates

from bids_shresnet.scans import ShImage

ROUNDING_TOLERANCE = 1e-4  # share of a point's surroundings, rounding
SPLINE_ORDER = (
    3  # order of the spline: it keeps noise and sharpness nearly as they are at the voxels
)


def sample_patches(image: ShImage, points: Float[np.ndarray, "p 3"]) -> Float[np.ndarray, "p 27 n"]:
    """Channels of the 3x3x3 neighbours of each point, at the image's own spacing and along its own axes.

    Parameters
    ----------
    points
        World positions, RAS+ mm.

    Returns
    -------
    Half precision (4 digits, a tenth of the noise), neighbours in C order (x slowest), zero outside the image.
    """
    steps = np.stack(np.meshgrid(*(np.arange(-1, 2),) * 3, indexing="ij"), -1).reshape(27, 3)
    where = (_rounded_voxels(image.affine, points)[:, None] + steps).reshape(-1, 3)
    channels = image.channels
    return _interpolate(channels, where, np.float16).reshape(len(points), 27, channels.shape[3])


def sample_image(
    values: Float[np.ndarray, "x y z n"],
    affine: Float[np.ndarray, "4 4"],
    points: Float[np.ndarray, "p 3"],
) -> Float[np.ndarray, "p n"]:
    """Values of an image at world positions (RAS+ mm), zero outside it."""
    return _interpolate(values, _rounded_voxels(affine, points), np.float32)


def has_signal_around(image: ShImage, points: Float[np.ndarray, "p 3"]) -> Bool[np.ndarray, " p"]:
    """Whether the voxels around each point all hold signal: what is interpolated elsewhere was not measured."""
    holds = (image.mask & (image.coefficients[..., 0] > 0)).astype(np.float32)
    inside = map_coordinates(holds, _rounded_voxels(image.affine, points).T, order=1)
    return np.asarray(inside > 1 - ROUNDING_TOLERANCE)


def _rounded_voxels(
    affine: Float[np.ndarray, "4 4"], points: Float[np.ndarray, "p 3"]
) -> Float[np.ndarray, "p 3"]:
    to_voxels = np.linalg.inv(affine)
    # rounded, or the arithmetic puts half of the outermost voxels a hair outside, where all is zero
    return np.asarray(np.round(points @ to_voxels[:3, :3].T + to_voxels[:3, 3], 6))


def _interpolate(
    values: Float[np.ndarray, "x y z n"],
    positions: Float[np.ndarray, "p 3"],
    dtype: type[np.floating],
) -> Float[np.ndarray, "p n"]:
    out = np.empty((len(positions), values.shape[3]), dtype=dtype)
    for channel in range(out.shape[1]):
        out[:, channel] = map_coordinates(
            values[..., channel], positions.T, output=np.float32, order=SPLINE_ORDER
        )
    return out
