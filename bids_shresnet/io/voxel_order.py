"""The voxel order of an image's file, and the canonical one (closest to right, anterior, superior) used inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped
from nibabel import orientations

RAS_ORIENTATION = np.array([[0, 1], [1, 1], [2, 1]])


@dataclass(frozen=True)
class VoxelOrder:
    """How the axes of a file lie.

    Attributes
    ----------
    affine
        Voxel indices of the file to RAS+ mm.
    orientation
        Which canonical axis, and in which direction, each axis of the file is.
    """

    affine: Float[np.ndarray, "4 4"]
    orientation: Float[np.ndarray, "3 2"]

    @classmethod
    def from_affine(cls, affine: Float[np.ndarray, "4 4"]) -> VoxelOrder:
        """Read the order off an affine.

        Raises
        ------
        ValueError
            If the affine is singular.
        """
        order: Float[np.ndarray, "3 2"] = orientations.io_orientation(affine)
        if np.isnan(order).any():
            msg = f"an affine that flattens the grid: {affine[:3, :3].tolist()}"
            raise ValueError(msg)
        return cls(affine, order)

    def to_canonical(self, data: Shaped[np.ndarray, "i j k *n"]) -> Shaped[np.ndarray, "x y z *n"]:
        """Data of the file in canonical order."""
        return np.ascontiguousarray(orientations.apply_orientation(data, self.orientation))

    def canonical_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Of that grid, for a file of this shape."""
        return tuple(shape[axis] for axis in np.argsort(self.orientation[:, 0]))

    def canonical_affine(self, shape: tuple[int, ...]) -> Float[np.ndarray, "4 4"]:
        """The affine of that, for a file of this shape."""
        affine: Float[np.ndarray, "4 4"] = self.affine @ orientations.inv_ornt_aff(
            self.orientation, shape[:3]
        )
        return affine

    def from_canonical(
        self, data: Shaped[np.ndarray, "x y z *n"]
    ) -> Shaped[np.ndarray, "i j k *n"]:
        """Data in canonical order as the file has them."""
        back = orientations.ornt_transform(RAS_ORIENTATION, self.orientation)
        return np.asarray(orientations.apply_orientation(data, back))
