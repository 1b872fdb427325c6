"""Contrast of S0: what the division by S0 takes away and what still tells CSF, grey and white matter apart."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

SURROUNDINGS_SIGMA_MM = (
    12.0  # standard deviation; a receive profile is flat over it, a gyrus is not
)
MAX_SURROUNDING_S0 = 1.5  # of the median S0: CSF counts no more than this among the surroundings
S0_RATIO_RANGE = (
    0.1,
    5.0,
)  # of S0 over its surroundings; beyond lie empty voxels and divisions by nothing


def s0_contrast(
    s0: Float[np.ndarray, "x y z"],
    mask: Bool[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
) -> Float[np.ndarray, "x y z"]:
    """Natural logarithm of S0 over the smooth mean of S0 around it; receive profile and gain cancel.

    Returns
    -------
    Zero outside the mask.
    """
    inside = mask.astype(np.float32)
    median = float(np.median(s0[mask])) if mask.any() else 1.0
    relative = (
        np.clip(s0 / max(median, float(np.finfo(np.float32).tiny)), 0, S0_RATIO_RANGE[1]) * inside
    )
    sigma = SURROUNDINGS_SIGMA_MM / np.linalg.norm(affine[:3, :3], axis=0)
    weight = np.maximum(gaussian_filter(inside, sigma), 1e-3)
    around = np.maximum(
        gaussian_filter(np.minimum(relative, MAX_SURROUNDING_S0), sigma) / weight, S0_RATIO_RANGE[0]
    )
    return np.asarray(
        np.log(np.clip(relative / around, *S0_RATIO_RANGE)) * inside, dtype=np.float32
    )
