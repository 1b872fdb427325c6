"""Where a brain is cut into slices, and how these lie beside each other in a picture.

Radiological convention: the patient's right is on the left of a picture, anterior is on the left of sagittal slices.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Shaped
from nibabel.affines import apply_affine, voxel_sizes

PLANES: Mapping[str, tuple[int, int]] = {
    "axial": (2, 7),
    "coronal": (1, 7),
    "sagittal": (0, 6),
}  # axis, slices
SKIPPED_END_FRACTION = (
    0.12  # of the brain's extent that is left out at either end: little brain is to be seen there
)
MARGIN_VOXELS = 1  # voxels around the brain


@dataclass(frozen=True)
class SliceLayout:
    """Where the brain of a scan is cut.

    Attributes
    ----------
    mask
        Brain, (x, y, z), as RAS as its grid can be.
    slices
        Indices by the name of the plane.
    bounding_box
        The part of the grid that holds the brain.
    """

    mask: Bool[np.ndarray, "x y z"]
    affine: Float[np.ndarray, "4 4"]
    slices: Mapping[str, tuple[int, ...]]
    bounding_box: tuple[slice, slice, slice]

    @classmethod
    def from_mask(
        cls, mask: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]
    ) -> SliceLayout:
        """Evenly through a brain.

        Raises
        ------
        ValueError
            If the mask is empty.
        """
        if not mask.any():
            msg = "there is no brain to cut: the mask is empty"
            raise ValueError(msg)
        ends = [(int(found.min()), int(found.max())) for found in np.nonzero(mask)]
        x, y, z = (
            slice(max(0, low - MARGIN_VOXELS), high + MARGIN_VOXELS + 1) for low, high in ends
        )
        slices = {
            name: _evenly_spaced_indices(*ends[axis], n) for name, (axis, n) in PLANES.items()
        }
        return cls(mask, affine, slices, (x, y, z))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the grid."""
        x, y, z = self.mask.shape
        return x, y, z

    @property
    def shown_mask(self) -> Bool[np.ndarray, "x y z"]:
        """The brain's voxels that any picture shows."""
        planes = np.zeros_like(self.mask)
        for name, indices in self.slices.items():
            np.moveaxis(planes, PLANES[name][0], 0)[list(indices)] = True
        return np.asarray(planes & self.mask)

    def tile_slices(
        self, values: Shaped[np.ndarray, "x y z *n"], plane: str
    ) -> Shaped[np.ndarray, "v u *n"]:
        """Slices of one plane side by side: rows from the top, columns from the left of the picture."""
        axis = PLANES[plane][0]
        within = tuple(
            slice(None) if one == axis else part for one, part in enumerate(self.bounding_box)
        )
        slabs = np.moveaxis(values[within], axis, 0)[list(self.slices[plane])]
        return np.asarray(
            np.concatenate([np.swapaxes(slab[::-1, ::-1], 0, 1) for slab in slabs], axis=1)
        )

    def size_mm(self, plane: str) -> tuple[float, float]:
        """Width and height of a row."""
        axis = PLANES[plane][0]
        width, height = (
            (part.stop - part.start) * size
            for one, (part, size) in enumerate(
                zip(self.bounding_box, voxel_sizes(self.affine), strict=True)
            )
            if one != axis
        )
        return len(self.slices[plane]) * float(width), float(height)

    def positions_mm(self, plane: str) -> list[float]:
        """Where each slice is along its axis, at the middle of the grid."""
        axis, middle = PLANES[plane][0], (np.array(self.mask.shape) - 1) / 2
        points = np.stack(
            [np.where(np.arange(3) == axis, index, middle) for index in self.slices[plane]]
        )
        return [float(point[axis]) for point in apply_affine(self.affine, points)]


def _evenly_spaced_indices(first: int, last: int, count: int) -> tuple[int, ...]:
    """Indices from one end to the other without the outermost part."""
    off = SKIPPED_END_FRACTION * (last - first)
    return tuple(int(index) for index in np.rint(np.linspace(first + off, last - off, count)))
