"""Slices of a brain, and their layout in a picture.

Pictures follow the radiological convention: the patient's right is on the left. In sagittal
slices, anterior is on the left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped
from nibabel.affines import apply_affine, voxel_sizes

PLANE_AXES: Mapping[str, int] = {"axial": 2, "coronal": 1, "sagittal": 0}
SLICE_COUNTS: Mapping[str, int] = {"axial": 7, "coronal": 7, "sagittal": 6}
SKIPPED_END_FRACTION = 0.12  # of the brain's extent at either end, where little brain is visible
MARGIN_VOXELS = 1  # around the brain


@dataclass(frozen=True)
class SliceLayout:
    """The slices of a scan that all its pictures show.

    Attributes
    ----------
    mask
        The brain; axes point to right, anterior and superior.
    slices
        Indices of the slices by plane.
    bounding_box
        Part of the grid that holds the brain.
    """

    mask: Bool[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    slices: Mapping[str, tuple[int, ...]]
    bounding_box: tuple[slice, slice, slice]

    @classmethod
    def from_mask(
        cls, mask: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]
    ) -> SliceLayout:
        """Space the slices of each plane evenly through a brain.

        Raises
        ------
        ValueError
            If the mask is empty.
        """
        if not mask.any():
            msg = "there is no brain to cut: the mask is empty"
            raise ValueError(msg)
        extents = [(int(indices.min()), int(indices.max())) for indices in np.nonzero(mask)]
        box = [
            slice(max(0, low - MARGIN_VOXELS), high + MARGIN_VOXELS + 1) for low, high in extents
        ]
        slices = {
            plane: _evenly_spaced_indices(*extents[axis], SLICE_COUNTS[plane])
            for plane, axis in PLANE_AXES.items()
        }
        return cls(mask, affine, slices, bounding_box=(box[0], box[1], box[2]))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of the grid."""
        x, y, z = self.mask.shape
        return x, y, z

    @property
    def shown_mask(self) -> Bool[np.ndarray, "x y z"]:
        """Voxels of the brain that lie in any of the slices."""
        is_in_slice = np.zeros_like(self.mask)
        for plane, indices in self.slices.items():
            np.moveaxis(is_in_slice, PLANE_AXES[plane], 0)[list(indices)] = True
        return np.asarray(is_in_slice & self.mask)

    def tile_slices(
        self, values: Shaped[np.ndarray, "x y z *n"], plane: str
    ) -> Shaped[np.ndarray, "v u *n"]:
        """Put the slices of a plane side by side.

        Rows run from the top of the picture, columns from its left.
        """
        axis = PLANE_AXES[plane]
        crop = list(self.bounding_box)
        crop[axis] = slice(None)
        slabs = np.moveaxis(values[tuple(crop)], axis, 0)[list(self.slices[plane])]
        tiles = [np.swapaxes(slab[::-1, ::-1], 0, 1) for slab in slabs]
        return np.asarray(np.concatenate(tiles, axis=1))

    def size_mm(self, plane: str) -> tuple[float, float]:
        """Width and height of the slices of a plane, side by side."""
        lengths = [part.stop - part.start for part in self.bounding_box]
        sizes = np.array(lengths) * voxel_sizes(self.affine)
        width, height = np.delete(sizes, PLANE_AXES[plane])
        return len(self.slices[plane]) * float(width), float(height)

    def positions_mm(self, plane: str) -> list[float]:
        """Position of each slice along its axis, at the middle of the grid."""
        axis = PLANE_AXES[plane]
        centre = (np.array(self.mask.shape) - 1) / 2
        points = np.tile(centre, (len(self.slices[plane]), 1))
        points[:, axis] = self.slices[plane]
        return [float(point[axis]) for point in apply_affine(self.affine, points)]


def _evenly_spaced_indices(first: int, last: int, count: int) -> tuple[int, ...]:
    """Indices from one end to the other, without the outermost part."""
    skipped = SKIPPED_END_FRACTION * (last - first)
    indices = np.rint(np.linspace(first + skipped, last - skipped, count))
    return tuple(int(index) for index in indices)
