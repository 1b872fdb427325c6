"""The voxel order of an image file, and the canonical order (RAS+) that the package uses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from nibabel import orientations

RAS_ORIENTATION = np.array([[0, 1], [1, 1], [2, 1]])


@dataclass(frozen=True)
class VoxelOrder:
    """Orientation of the axes of a file.

    Attributes
    ----------
    affine
        Voxel indices of the file to RAS+ mm.
    orientation
        For each axis of the file, the canonical axis and the direction (nibabel's `ornt`).
    """

    affine: Float[np.ndarray, "4 4"]
    orientation: Float[np.ndarray, "3 2"]

    @classmethod
    def from_affine(cls, affine: Float[np.ndarray, "4 4"]) -> VoxelOrder:
        """Derive the order from an affine.

        Raises
        ------
        ValueError
            If the affine is singular.
        """
        is_regular = np.isfinite(affine).all() and np.linalg.matrix_rank(affine[:3, :3]) == 3
        if not is_regular:
            msg = f"an affine that flattens the grid: {affine[:3, :3].tolist()}"
            raise ValueError(msg)
        order: Float[np.ndarray, "3 2"] = orientations.io_orientation(affine)
        return cls(affine, order)

    def to_canonical(self, data: Shaped[np.ndarray, "i j k *n"]) -> Shaped[np.ndarray, "x y z *n"]:
        """Copy data of the file in canonical order.

        Files and arrays run through their axes in opposite orders, so that a copy plane by plane,
        each of which fits into the cache of a core, takes a fifth of the time.
        """
        ordered = orientations.apply_orientation(data, self.orientation)
        copy = np.empty(ordered.shape, ordered.dtype)
        for plane in range(ordered.shape[1]):
            copy[:, plane] = ordered[:, plane]
        return copy

    def from_canonical(
        self, data: Shaped[np.ndarray, "x y z *n"]
    ) -> Shaped[np.ndarray, "i j k *n"]:
        """Reorder data in canonical order to the order of the file."""
        transform = orientations.ornt_transform(RAS_ORIENTATION, self.orientation)
        return np.asarray(orientations.apply_orientation(data, transform))

    def canonical_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the canonical grid of a file with this shape."""
        return tuple(shape[axis] for axis in np.argsort(self.orientation[:, 0]))

    def canonical_affine(self, shape: tuple[int, ...]) -> Float[np.ndarray, "4 4"]:
        """Return the affine of the canonical grid of a file with this shape."""
        to_file_indices = orientations.inv_ornt_aff(self.orientation, shape[:3])
        affine: Float[np.ndarray, "4 4"] = self.affine @ to_file_indices
        return affine
