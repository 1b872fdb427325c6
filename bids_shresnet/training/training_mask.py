"""The voxels that networks are trained on."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int
from scipy import ndimage

from bids_shresnet.scans import Tissue


def training_mask(tissue: Int[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Grey and white matter and the voxels that touch them.

    The border is included because the classifier sees the target's own signal. If voxels were
    chosen by the brightness of their label, networks would predict too bright a signal wherever
    grey matter and CSF share a voxel.
    """
    matter = (tissue == Tissue.GM) | (tissue == Tissue.WM)
    return np.asarray(ndimage.binary_dilation(matter))
