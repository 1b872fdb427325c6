"""Gradient tables: which volumes form a shell, which shells of two scanners belong together, how a pose turns them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

SAME_AXIS_COSINE = np.cos(
    np.radians(2)
)  # repeated directions differ by rounding, those of a 250-direction shell by 6 degrees


def count_directions(bvecs: Float[np.ndarray, "n 3"]) -> int:
    """Number of different axes among b-vectors of any length but zero; a direction and its opposite are one axis."""
    units = bvecs / np.linalg.norm(bvecs, axis=1, keepdims=True)
    same = np.abs(units @ units.T) > SAME_AXIS_COSINE
    # each vector counts unless an earlier one has its axis
    return int((~np.tril(same, -1).any(axis=1)).sum())


def rotate_bvecs(
    bvecs: Float[np.ndarray, "n 3"], rotation: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "n 3"]:
    """Turn b-vectors as the head was turned: each row g becomes R g."""
    return np.asarray(bvecs @ rotation.T)
