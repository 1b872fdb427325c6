"""A harmonized scan as Python code gets it: arrays in the voxel order of its image, and files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from bids_shresnet.diffusion.tensors import TensorMaps, fit_tensor_maps
from bids_shresnet.harmonization.harmonized_scan import HarmonizedScan
from bids_shresnet.harmonization.plot_maps import plot_maps
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.io.gradients.fsl import (
    normalize_directions,
    round_gradient_table,
    write_fsl_table,
)
from bids_shresnet.io.gradients.gradient_axes import from_fsl, to_fsl
from bids_shresnet.io.images.nifti_writing import make_image_like
from bids_shresnet.io.images.voxel_order import VoxelOrder
from bids_shresnet.io.storage import atomic_path, write_json
from bids_shresnet.scans import Dwi
from bids_shresnet.settings import OutputType

PathLike = str | os.PathLike[str]
BVECS_PLACEHOLDER = Path("the b-vectors given")  # what an error names if there is no file


@dataclass(frozen=True, repr=False)
class HarmonizedImage:
    """A harmonized scan on the grid and in the voxel order of the image that was given.

    Attributes
    ----------
    scan
        The harmonized scan in the convention of `bids_shresnet.scans`.
    reference
        The image that was given, as nibabel loads it.
    source
        The scan as measured.
    input_volumes
        Indices of its b0 volumes and of the shells that were harmonized.
    record
        How it was harmonized, as `save` writes it: model and its digest, networks, scanners.
    """

    scan: HarmonizedScan
    reference: Any
    source: LoadedScan
    input_volumes: Int[np.ndarray, " k"]
    record: Mapping[str, Any]

    def __repr__(self) -> str:
        """Return one line for notebooks."""
        shape = " x ".join(map(str, self.reference.shape))
        novel = f"{100 * self.scan.novel_fraction:.1f} % out of distribution"
        return f"<HarmonizedImage {shape}, {self.record['Model']}, {novel}>"

    @property
    def dwi(self) -> Float[np.ndarray, "i j k n"]:
        """Signal of the target scanner in the scan's own units.

        The b0 volumes, and everything outside the mask, are as measured. Predicted shells come
        last, after `scan.measured_volume_count` volumes.
        """
        return self._order.from_canonical(self.scan.dwi.data)

    @property
    def affine(self) -> Float[np.ndarray, "4 4"]:
        """Voxel indices to RAS+ mm."""
        return self._order.affine

    @property
    def bvals(self) -> Float[np.ndarray, " n"]:
        """b-values of the target scanner in s/mm2, one per volume."""
        return self._gradient_table[0]

    @property
    def bvecs(self) -> Float[np.ndarray, "n 3"]:
        """FSL's b-vectors to the six decimals of a .bvec; zero for b0 volumes."""
        return self._gradient_table[1]

    @property
    def mask(self) -> Bool[np.ndarray, "i j k"]:
        """Brain of the scan.

        Some of its voxels keep the measured signal, brought to the target's b-values: those without
        measurable signal in or around them, whose `novelty` mostly is 0, and those with a novelty
        above 1 if these were to be left unharmonized. In the target's directions they have none.
        `uncertainty` is 0 there, where it is known.
        """
        return self._order.from_canonical(self.scan.mask)

    @property
    def novelty(self) -> Float[np.ndarray, "i j k"]:
        """Distance from the training data: above 1 the tissue is unlike it, 0 cannot be judged."""
        return self._order.from_canonical(self.scan.novelty)

    @property
    def uncertainty(self) -> Float[np.ndarray, "i j k"] | None:
        """Standard deviation of S/S0 about the prediction, without noise; None if not known."""
        maps = self.scan.uncertainty
        return None if maps is None else self._order.from_canonical(maps.signal)

    @property
    def fa_uncertainty(self) -> Float[np.ndarray, "i j k"] | None:
        """Standard deviation of FA about the prediction, without noise; None if not known."""
        maps = self.scan.uncertainty
        return None if maps is None else self._order.from_canonical(maps.fa)

    @property
    def md_uncertainty(self) -> Float[np.ndarray, "i j k"] | None:
        """Standard deviation of MD (mm2/s), as that of FA."""
        maps = self.scan.uncertainty
        return None if maps is None else self._order.from_canonical(maps.md)

    @property
    def fa(self) -> Float[np.ndarray, "i j k"]:
        """Fractional anisotropy as the target scanner's own maps would show it, with its noise.

        0 to 1, zero outside the mask.
        """
        return self._order.from_canonical(self.scan.maps.fa)

    @property
    def md(self) -> Float[np.ndarray, "i j k"]:
        """Mean diffusivity as the target scanner's own maps would show it, in mm2/s.

        Zero outside the mask.
        """
        return self._order.from_canonical(self.scan.maps.md)

    @property
    def fa_denoised(self) -> Float[np.ndarray, "i j k"] | None:
        """Fractional anisotropy without noise; None for methods that keep the scan's noise."""
        maps = self.scan.denoised_maps
        return None if maps is None else self._order.from_canonical(maps.fa)

    @property
    def md_denoised(self) -> Float[np.ndarray, "i j k"] | None:
        """Mean diffusivity without noise in mm2/s; None for methods that keep the scan's noise."""
        maps = self.scan.denoised_maps
        return None if maps is None else self._order.from_canonical(maps.md)

    @property
    def input_fa(self) -> Float[np.ndarray, "i j k"]:
        """Fractional anisotropy of the scan as measured, fitted like `fa`."""
        return self._order.from_canonical(self._input_maps.fa)

    @property
    def input_md(self) -> Float[np.ndarray, "i j k"]:
        """Mean diffusivity of the scan as measured in mm2/s, fitted like `md`."""
        return self._order.from_canonical(self._input_maps.md)

    @cached_property
    def _input_maps(self) -> TensorMaps:
        return fit_tensor_maps(self.source.dwi, self.source.mask, self.input_volumes)

    def plot(self, slice_index: int | None = None) -> Any:
        """Draw an axial slice of FA and MD before and after, and the difference.

        `slice_index` counts from the feet. Returns a matplotlib figure, which notebooks show.
        """
        before = {"FA": self._input_maps.fa, "MD": self._input_maps.md}
        after = {"FA": self.scan.maps.fa, "MD": self.scan.maps.md}
        return plot_maps(before, after, slice_index)

    def to_nifti(self, values: Shaped[np.ndarray, "i j k *n"] | None = None) -> Any:
        """Return the harmonized DWI, or other values on its grid such as `fa`, as a nibabel image.

        Placement and timing are those of the given image; nothing else of its header is kept.
        Masks are uint8, everything else is float32.
        """
        return make_image_like(self.reference, self.dwi if values is None else values)

    def save(
        self, folder: PathLike, name: str = "harmonized", *, output_type: OutputType = "input"
    ) -> tuple[Path, ...]:
        """Write the DWI with its tables and every map, and return their paths.

        They are `<name>_dwi` (.nii.gz, .bval, .bvec, and .json with how it was made) and
        `<name>_mask`, `_fa`, `_md`, `_novelty` (.nii.gz), `_fa_denoised` and `_md_denoised` if the
        method removes noise, and `_uncertainty`, `_fa_uncertainty` and `_md_uncertainty` if it
        knows its error. The folder is made if it does not exist; files of these names are
        replaced. The DWI has numbers of `output_type`, as with `--output-dtype`; maps are float32.
        """
        stem = Path(folder) / name
        stem.parent.mkdir(parents=True, exist_ok=True)
        bval = stem.with_name(f"{stem.name}_dwi.bval")
        bvec = stem.with_name(f"{stem.name}_dwi.bvec")
        write_fsl_table(bval, bvec, self.bvals, self.bvecs)
        images = self._write_images(stem, output_type)
        sidecar = stem.with_name(f"{stem.name}_dwi.json")
        write_json(sidecar, self.record)
        return (bval, bvec, *images, sidecar)

    def _write_images(self, stem: Path, output_type: OutputType) -> list[Path]:
        images = []
        for suffix, values in self._arrays().items():
            path = stem.with_name(f"{stem.name}_{suffix}.nii.gz")
            with atomic_path(path) as temporary:
                kind = output_type if suffix == "dwi" else "float32"
                nib.save(make_image_like(self.reference, values, kind), temporary)
            images.append(path)
        return images

    def _arrays(self) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Return the arrays of all images by the suffix of their file."""
        arrays = {
            "mask": self.mask,
            "fa": self.fa,
            "md": self.md,
            "fa_denoised": self.fa_denoised,
            "md_denoised": self.md_denoised,
            "novelty": self.novelty,
            "uncertainty": self.uncertainty,
            "fa_uncertainty": self.fa_uncertainty,
            "md_uncertainty": self.md_uncertainty,
            "dwi": self.dwi,
        }
        return {name: values for name, values in arrays.items() if values is not None}

    @property
    def _order(self) -> VoxelOrder:
        return VoxelOrder.from_affine(np.asarray(self.reference.affine, float))

    @property
    def _gradient_table(self) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
        dwi = self.scan.dwi
        return round_gradient_table(dwi.bvals, to_fsl(dwi.bvecs, self.affine))


def dwi_from_arrays(
    data: Float[np.ndarray, "i j k n"],
    affine: Float[np.ndarray, "4 4"],
    bvals: Float[np.ndarray, " n"],
    bvecs: Float[np.ndarray, "m 3"],
) -> Dwi:
    """Return arrays as a file holds them as a DWI in canonical order.

    Parameters
    ----------
    data
        Signal in the voxel order of the file.
    affine
        Voxel indices of `data` to RAS+ mm.
    bvals
        s/mm2, one per volume.
    bvecs
        FSL's b-vectors, one per row.

    Raises
    ------
    BadInput
        If the tables do not match, or a weighted volume has no direction.
    """
    order = VoxelOrder.from_affine(affine)
    world_bvecs = from_fsl(normalize_directions(BVECS_PLACEHOLDER, bvecs, bvals), affine)
    return Dwi(order.to_canonical(data), order.canonical_affine(data.shape), bvals, world_bvecs)
