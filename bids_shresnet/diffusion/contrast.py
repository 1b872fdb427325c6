"""Contrast of S0, which S/S0 has lost and which still tells CSF, grey and white matter apart."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

SURROUNDINGS_SIGMA_MM = 12.0  # a receive profile is flat over it, a gyrus is not
MAX_SURROUNDING_S0 = 1.5  # of the median S0: CSF counts no more than this among the surroundings
# S0 over its surroundings; beyond lie empty voxels and divisions by nothing.
MIN_S0_RATIO = 0.1
MAX_S0_RATIO = 5.0
MIN_WEIGHT = 1e-3  # of the mask near a voxel


def s0_contrast(
    s0: Float[np.ndarray, "x y z"],
    mask: Bool[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
) -> Float[np.ndarray, "x y z"]:
    """Natural logarithm of S0 over the smooth mean of S0 around it.

    Receive profile and gain cancel.

    Returns
    -------
    Zero outside the mask.
    """
    inside = mask.astype(np.float32)
    median = float(np.median(s0[mask])) if mask.any() else 1.0
    relative = s0 / max(median, float(np.finfo(np.float32).tiny))
    relative = np.clip(relative, 0, MAX_S0_RATIO) * inside
    sigma = SURROUNDINGS_SIGMA_MM / np.linalg.norm(affine[:3, :3], axis=0)
    weight = np.maximum(gaussian_filter(inside, sigma), MIN_WEIGHT)
    surroundings = gaussian_filter(np.minimum(relative, MAX_SURROUNDING_S0), sigma) / weight
    ratio = relative / np.maximum(surroundings, MIN_S0_RATIO)
    contrast = np.log(np.clip(ratio, MIN_S0_RATIO, MAX_S0_RATIO)) * inside
    return np.asarray(contrast, dtype=np.float32)
