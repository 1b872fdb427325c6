"""Gradient directions: how many axes a table has, and how the pose of the head rotates it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

# Repeated directions differ by rounding, those of a shell with 250 directions by 6 degrees.
SAME_AXIS_COSINE = np.cos(np.radians(2))


def number_axes(bvecs: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """Number the axis of each b-vector, of any length: the index of the first one along it.

    A direction and its opposite are one axis. Vectors of length zero have no axis in common.
    """
    lengths = np.linalg.norm(bvecs, axis=1, keepdims=True)
    units = bvecs / np.maximum(lengths, np.finfo(np.float64).tiny)
    is_same_axis = np.abs(units @ units.T) > SAME_AXIS_COSINE
    np.fill_diagonal(is_same_axis, True)
    return np.asarray(np.argmax(is_same_axis, axis=1))


def count_directions(bvecs: Float[np.ndarray, "n 3"]) -> int:
    """Count the different axes among b-vectors."""
    return int((number_axes(bvecs) == np.arange(len(bvecs))).sum())


def rotate_bvecs(
    bvecs: Float[np.ndarray, "n 3"], rotation: Float[np.ndarray, "3 3"]
) -> Float[np.ndarray, "n 3"]:
    """Rotate b-vectors with the head: each row g becomes R g."""
    return np.asarray(bvecs @ rotation.T)
