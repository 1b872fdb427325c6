"""Scans in memory, with brain mask and S0, and scans outside any dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.attenuation import mean_b0
from bids_shresnet.diffusion.spatial.masking import compute_brain_mask
from bids_shresnet.io.gradients.fsl import read_fsl_table
from bids_shresnet.io.images.nifti import read_dwi, read_on_grid
from bids_shresnet.io.storage import hash_file
from bids_shresnet.scans import Dwi, LabelImage, Scan


@dataclass(frozen=True)
class LoadedScan:
    """A scan in memory with its brain mask and S0."""

    dwi: Dwi
    mask: Bool[np.ndarray, "x y z"]
    s0: Float[np.ndarray, "x y z"]


def describe_image(
    image: Path, *, bval: Path | None = None, bvec: Path | None = None, mask: Path | None = None
) -> Scan:
    """Return a scan outside any dataset, with its tables beside the image unless they are given."""
    stem = image.with_name(image.name.removesuffix(".gz").removesuffix(".nii"))
    bval = bval or Path(f"{stem}.bval")
    bvec = bvec or Path(f"{stem}.bvec")
    bvals, _ = read_fsl_table(bval, bvec)
    return Scan(
        image=image,
        bval=bval,
        bvec=bvec,
        entities={},
        metadata={},
        scanner=None,
        bvals=tuple(bvals.tolist()),
        dataset=image.parent,
        mask=mask,
    )


def digest_scan(scan: Scan) -> list[Any]:
    """Return digests of all files that signal and tissues are read from, and how they are read."""
    files = [hash_file(path) for path in scan.files]
    return [*files, scan.bvec_axes, *_digest_segmentation(scan)]


def _digest_segmentation(scan: Scan) -> list[Any]:
    segmentation = scan.segmentation
    if not segmentation:
        return []
    labels = sorted(segmentation.labels.items()) if isinstance(segmentation, LabelImage) else []
    return [*map(hash_file, segmentation.files), labels]


def load_scan(scan: Scan) -> LoadedScan:
    """Read a scan with the brain mask of the input, or one computed from S0."""
    dwi = read_dwi(scan)
    mask = None
    if scan.mask is not None:
        mask = read_on_grid(scan.mask, dwi.shape, dwi.affine, spline_order=0) > 0
    return add_mask_and_s0(dwi, mask)


def add_mask_and_s0(dwi: Dwi, mask: Bool[np.ndarray, "x y z"] | None) -> LoadedScan:
    """Compute S0 (the mean b0 image), and the brain mask where none is given."""
    s0 = mean_b0(dwi)
    if mask is None:
        mask = compute_brain_mask(s0, float(nib.affines.voxel_sizes(dwi.affine).mean()))
    return LoadedScan(dwi, mask, s0)
