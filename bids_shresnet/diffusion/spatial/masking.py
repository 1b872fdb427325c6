"""Masks: computing a brain mask, and bringing values of a mask's voxels back to an image."""

from __future__ import annotations

import numpy as np
from dipy.segment.mask import median_otsu
from jaxtyping import Bool, Float, Shaped
from scipy import ndimage

MEDIAN_FILTER_RADIUS_MM = 4.0  # about the width of a gyrus


def compute_brain_mask(
    b0: Float[np.ndarray, "x y z"], voxel_mm: float
) -> Bool[np.ndarray, "x y z"]:
    """Compute DIPY's median_otsu on the mean b0, as one solid piece without holes.

    The radius of the median filter is set in millimetres, so that coarse grids are not smoothed
    away. The mask is widened by one voxel: harmonizing a rim of background does no harm, missing
    a rim of cortex does.
    """
    radius = max(1, round(MEDIAN_FILTER_RADIUS_MM / voxel_mm))
    _, mask = median_otsu(b0, median_radius=radius, numpass=2)
    return np.asarray(ndimage.binary_dilation(largest_connected_component(mask)))


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
