"""Brain mask of a scan that comes without one."""

from __future__ import annotations

import numpy as np
from dipy.segment.mask import median_otsu
from jaxtyping import Bool, Float
from scipy import ndimage

MEDIAN_FILTER_RADIUS_MM = 4.0  # about the width of a gyrus


def compute_brain_mask(
    b0: Float[np.ndarray, "x y z"], voxel_mm: float
) -> Bool[np.ndarray, "x y z"]:
    """DIPY's median_otsu on the mean b0, as one solid piece without holes.

    The median filter's radius is set in millimetres, so that coarse grids are not smoothed away. The mask is
    widened by one voxel: to harmonize a rim of background harms nobody, to miss a rim of cortex does.
    """
    radius = max(1, round(MEDIAN_FILTER_RADIUS_MM / voxel_mm))
    _, mask = median_otsu(b0, median_radius=radius, numpass=2)
    return np.asarray(ndimage.binary_dilation(largest_connected_component(mask)))


def largest_connected_component(mask: Bool[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """The largest connected part, with its holes filled (also those that only a slice shows as holes)."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return mask.astype(bool)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    piece = ndimage.binary_fill_holes(labels == sizes.argmax())
    return np.stack(
        [ndimage.binary_fill_holes(plane) for plane in np.moveaxis(piece, 2, 0)], axis=2
    )
