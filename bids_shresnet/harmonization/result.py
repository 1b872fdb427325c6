"""A harmonized scan as Python gets it: arrays in the voxel order of the scan that was given, and files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Shaped

from bids_shresnet.diffusion.tensors import TensorMaps, fit_tensor_maps
from bids_shresnet.io.fsl import from_fsl, normalize_directions, write_fsl_table
from bids_shresnet.io.nifti import make_image_like
from bids_shresnet.io.storage import atomic_path
from bids_shresnet.io.voxel_order import VoxelOrder
from bids_shresnet.scans import Dwi

PathLike = str | os.PathLike[str]
BVECS_PLACEHOLDER = Path("the b-vectors given")  # what an error names where there is no file


@dataclass(frozen=True)
class Result:
    """A harmonized scan, on the grid and in the voxel order of the scan that was given.

    Attributes
    ----------
    dwi
        Signal as the target scanner would have measured it, (i, j, k, volume), in the scan's own units; b0 volumes and
        all outside the mask are as measured.
    affine
        Voxel indices to RAS+ mm.
    bvals
        s/mm2, one a volume: the target's b-values, since that is what the signal now is.
    bvecs
        FSL's b-vectors, (volume, 3), to the six decimals of a .bvec; zero for b0 volumes.
    mask
        Voxels that were harmonized.
    novelty
        Distance of the scan from what the model was trained on; above 1 the tissue is unlike anything it has seen, 0
        where that cannot be judged.
    uncertainty
        Standard deviation of the predicted S/S0 over the networks; None where one network was asked.
    measured_volume_count
        How many volumes, from the first, stand for something the scan measured; predicted shells come after them.
    reference_image
        Image whose header `to_nifti` follows.
    """

    dwi: Float[np.ndarray, "i j k n"]
    affine: Float[np.ndarray, "4 4"]
    bvals: Float[np.ndarray, " n"]
    bvecs: Float[np.ndarray, "n 3"]
    mask: Bool[np.ndarray, "i j k"]
    novelty: Float[np.ndarray, "i j k"]
    uncertainty: Float[np.ndarray, "i j k"] | None
    measured_volume_count: int
    reference_image: Any

    @property
    def fa(self) -> Float[np.ndarray, "i j k"]:
        """Fractional anisotropy of the harmonized scan, 0 to 1, zero outside the mask."""
        return VoxelOrder.from_affine(self.affine).from_canonical(self._tensor_maps.fa)

    @property
    def md(self) -> Float[np.ndarray, "i j k"]:
        """Mean diffusivity of the harmonized scan in mm2/s, zero outside the mask."""
        return VoxelOrder.from_affine(self.affine).from_canonical(self._tensor_maps.md)

    @cached_property  # a fit of every voxel, done when somebody looks
    def _tensor_maps(self) -> TensorMaps:
        first = slice(self.measured_volume_count)
        dwi = dwi_from_arrays(
            self.dwi[..., first], self.affine, self.bvals[first], self.bvecs[first]
        )
        return fit_tensor_maps(dwi, VoxelOrder.from_affine(self.affine).to_canonical(self.mask))

    def to_nifti(self, values: Shaped[np.ndarray, "i j k *n"] | None = None) -> Any:
        """Return the harmonized DWI, or other values on its grid such as `result.fa`, as a nibabel image.

        Placement and timing are those of the scan; nothing else of its header is kept. Masks are uint8, all else
        float32.
        """
        return make_image_like(self.reference_image, self.dwi if values is None else values)

    def save(self, folder: PathLike, name: str = "harmonized") -> tuple[Path, ...]:
        """Write the DWI with its tables and every map, and return their paths.

        They are `<name>_dwi` (.nii.gz, .bval, .bvec), `<name>_mask`, `_fa`, `_md`, `_novelty` and, where there is one,
        `_uncertainty` (.nii.gz). The folder is made if need be, and files of these names are replaced.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        tables = place / f"{name}_dwi.bval", place / f"{name}_dwi.bvec"
        write_fsl_table(*tables, self.bvals, self.bvecs)
        maps = {"mask": self.mask, "fa": self.fa, "md": self.md, "novelty": self.novelty}
        if self.uncertainty is not None:
            maps["uncertainty"] = self.uncertainty
        images = {
            place / f"{name}_{kind}.nii.gz": values
            for kind, values in {**maps, "dwi": self.dwi}.items()
        }
        for path, values in images.items():
            with atomic_path(path) as temporary:
                nib.save(self.to_nifti(values), temporary)
        return (*tables, *images)


def dwi_from_arrays(
    data: Float[np.ndarray, "i j k n"],
    affine: Float[np.ndarray, "4 4"],
    bvals: Float[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "m 3"],
) -> Dwi:
    """Arrays as a file holds them, as a DWI in canonical order with b-vectors along the world axes.

    Raises
    ------
    BadInput
        If the tables do not match, or a weighted volume has no direction.
    """
    order = VoxelOrder.from_affine(affine)
    world = from_fsl(normalize_directions(BVECS_PLACEHOLDER, bvecs, bvals), affine)
    return Dwi(order.to_canonical(data), order.canonical_affine(data.shape), bvals, world)
