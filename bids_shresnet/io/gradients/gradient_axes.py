"""The axes that the components of a b-vector count along.

Inside the package, b-vectors are unit vectors along the world axes. FSL counts their components
along the axes of the image, in the voxel order of the file, and flips the sign of the first one if
the determinant of the affine is positive (BIDS 1.11.1, "Required gradient orientation
information").
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

# Largest cosine between two image axes. Rounding of headers and qforms stays below 1e-4.
MAX_AXIS_COSINE = 1e-2


def from_fsl(
    bvecs: Float[np.ndarray, "n 3"], affine: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "n 3"]:
    """Convert FSL b-vectors of an image with this affine to vectors along the world axes.

    Raises
    ------
    ValueError
        If the affine shears or flattens the grid.
    """
    world: Float[np.ndarray, "n 3"] = bvecs @ fsl_axes(affine).T
    return world


def to_fsl(
    bvecs: Float[np.ndarray, "n 3"], affine: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "n 3"]:
    """Convert b-vectors along the world axes to FSL b-vectors of an image with this affine.

    Raises
    ------
    ValueError
        If the affine shears or flattens the grid.
    """
    components: Float[np.ndarray, "n 3"] = bvecs @ fsl_axes(affine)
    return components


def fsl_axes(affine: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "3 3"]:
    """Return the unit world directions of FSL's three components in columns.

    The matrix is orthonormal and left-handed.

    Raises
    ------
    ValueError
        If the affine shears or flattens the grid.
    """
    axes = image_axes(affine)
    axes[:, 0] *= -np.sign(np.linalg.det(axes))
    return axes


def image_axes(affine: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "3 3"]:
    """Return the unit world directions of the three axes of an image in columns.

    The matrix is orthonormal.

    Raises
    ------
    ValueError
        If the affine shears or flattens the grid.
    """
    edges = np.asarray(affine, float)[:3, :3]
    sizes = np.linalg.norm(edges, axis=0)
    if not np.all(sizes > 0):
        msg = f"voxel sizes must be positive, got {sizes}"
        raise ValueError(msg)
    axes = edges / sizes
    cosines = np.abs(axes.T @ axes - np.eye(3))
    if cosines.max() > MAX_AXIS_COSINE:
        msg = f"the grid is sheared: cosine of {cosines.max():.3f} between two image axes"
        raise ValueError(msg)
    return _nearest_orthonormal(axes)


def _nearest_orthonormal(axes: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """With it, `to_fsl` inverts `from_fsl` exactly, even if the header is rounded."""
    left, _, right = np.linalg.svd(axes)
    orthonormal: Float[np.ndarray, "3 3"] = left @ right
    return orthonormal
