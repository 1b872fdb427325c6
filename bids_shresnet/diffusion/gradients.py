"""Gradient directions: how many axes a table has, and how the pose of the head rotates it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

# Repeated directions differ by rounding, those of a shell with 250 directions by 6 degrees.
SAME_AXIS_COSINE = np.cos(np.radians(2))


def count_directions(bvecs: Float[np.ndarray, "n 3"]) -> int:
    """Number of different axes among b-vectors of any length but zero.

    A direction and its opposite are one axis.
    """
    units = bvecs / np.linalg.norm(bvecs, axis=1, keepdims=True)
    is_same_axis = np.abs(units @ units.T) > SAME_AXIS_COSINE
    # each vector counts unless an earlier one has its axis
    return int((~np.tril(is_same_axis, -1).any(axis=1)).sum())


def rotate_bvecs(
    bvecs: Float[np.ndarray, "n 3"], rotation: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "n 3"]:
    """Rotate b-vectors with the head: each row g becomes R g."""
    return np.asarray(bvecs @ rotation.T)
