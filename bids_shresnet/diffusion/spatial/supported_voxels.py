"""Voxels that a model can be applied to: signal was measured in them and around them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from bids_shresnet.scans import ShImage

NEIGHBOURHOOD = np.ones((3, 3, 3), dtype=np.uint8)  # the patch that methods see
# Of the 27 voxels of a patch: as many as the corner of a solid has. With fewer, what lies around
# is background, of which no model knows anything.
MIN_MEASURED_VOXELS = 8


def find_supported_voxels(image: ShImage) -> Bool[np.ndarray, "x y z"]:
    """Find the voxels of the mask that hold signal, as do enough of their neighbours.

    Eyes, sinuses and the rim of a mask that is too large have voxels without a measurable S0, whose
    coefficients are zero.
    """
    has_signal = image.mask & (image.coefficients[..., 0] > 0)
    count = ndimage.convolve(has_signal.astype(np.uint8), NEIGHBOURHOOD, mode="constant")
    return np.asarray(has_signal & (count >= MIN_MEASURED_VOXELS))
