"""Masks: computing a brain mask, and bringing values of a mask's voxels back to an image."""

from __future__ import annotations

import numpy as np
from dipy.segment.threshold import otsu
from jaxtyping import Bool, Float, Shaped
from numpy.lib.stride_tricks import sliding_window_view
from scipy import ndimage

MEDIAN_FILTER_RADIUS_MM = 4.0  # about the width of a gyrus
MEDIAN_FILTER_PASSES = 2
MIN_WEIGHT = 1e-6  # of a mask around a voxel


def compute_brain_mask(
    b0: Float[np.ndarray, "x y z"], voxel_mm: float
) -> Bool[np.ndarray, "x y z"]:
    """Compute the mask of DIPY's median_otsu on the mean b0, as one solid piece without holes.

    The radius of the median filter is set in millimetres, so that coarse grids are not smoothed
    away. The mask is widened by one voxel: harmonizing a rim of background does no harm, missing
    a rim of cortex does.
    """
    radius = max(1, round(MEDIAN_FILTER_RADIUS_MM / voxel_mm))
    smoothed = b0
    for _ in range(MEDIAN_FILTER_PASSES):
        smoothed = filter_median(smoothed, radius)
    mask = smoothed > otsu(smoothed)
    return np.asarray(ndimage.binary_dilation(largest_connected_component(mask)))


def filter_median(values: Float[np.ndarray, "x y z"], radius: int) -> Float[np.ndarray, "x y z"]:
    """Return the bits of `scipy.ndimage.median_filter` in a quarter of its time.

    Each voxel becomes the median of the cube around it; values beyond the edge are mirrored.

    Parameters
    ----------
    radius
        Half of the cube's edge, in voxels.
    """
    edge = 2 * radius + 1
    middle = edge**3 // 2
    padded = np.pad(values, radius, mode="symmetric")
    windows = sliding_window_view(padded, (edge, edge, edge))
    filtered = np.empty_like(values)
    for plane, plane_windows in zip(filtered, windows, strict=True):
        rows = plane_windows.reshape(-1, edge**3)
        plane.flat = np.partition(rows, middle, axis=1)[:, middle]
    return filtered


def average_locally(
    values: Float[np.ndarray, "x y z *n"], mask: Bool[np.ndarray, "x y z"], sigma_voxels: float
) -> Float[np.ndarray, "x y z *n"]:
    """Average around each voxel, with Gaussian weights, over the voxels of a mask.

    Values may have further axes, which are not averaged over.
    """
    further_axes = values.ndim - mask.ndim
    column = (..., *[None] * further_axes)
    sigmas = [sigma_voxels] * mask.ndim + [0.0] * further_axes
    total = ndimage.gaussian_filter(np.where(mask[column], values, 0.0), sigmas)
    weight = ndimage.gaussian_filter(mask.astype(np.float64), sigma_voxels)
    return np.asarray(total / np.maximum(weight, MIN_WEIGHT)[column])


def largest_connected_component(mask: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Largest connected part with its holes filled, also holes in an axial slice only."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask.astype(bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    component = ndimage.binary_fill_holes(labels == sizes.argmax())
    planes = [ndimage.binary_fill_holes(plane) for plane in np.moveaxis(component, 2, 0)]
    return np.stack(planes, axis=2)


def unmask(
    values: Shaped[np.ndarray, "v *n"], mask: Bool[np.ndarray, "x y z"], *, fill: float = 0
) -> Shaped[np.ndarray, "x y z *n"]:
    """Values of the voxels of a mask as an image, and `fill` elsewhere."""
    image = np.full((*mask.shape, *values.shape[1:]), fill, dtype=values.dtype)
    image[mask] = values
    return image
