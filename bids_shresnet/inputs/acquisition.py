"""How a scan was acquired and preprocessed: from its header, its sidecars and its pipeline."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import nibabel as nib

from bids_shresnet.inputs.qsiprep import QSIPREP
from bids_shresnet.io.description import read_pipeline_name
from bids_shresnet.io.images.nifti_header import read_grid
from bids_shresnet.io.images.voxel_order import VoxelOrder
from bids_shresnet.scans import B0_THRESHOLD, Acquisition, Denoised, MaskMethod, Scan

VOXEL_SIZE_DIGITS = 4  # float32 headers hold no more
DENOISING_WORDS = ("denois", "mppca", "mp-pca", "patch2self")
NO_DENOISING = ("", "none", "false", "no", "n/a", "[]", "{}", "0")


def read_acquisition(scan: Scan) -> Acquisition:
    """Read how a scan was acquired, without its signal.

    Raises
    ------
    BadInput
        If its image cannot be read.
    ValueError
        If the affine is singular.
    """
    shape, affine = read_grid(scan.image)
    sizes = nib.affines.voxel_sizes(VoxelOrder.from_affine(affine).canonical_affine(shape))
    echo_time = scan.metadata.get("EchoTime")
    return Acquisition(
        voxel_size=tuple(sizes.round(VOXEL_SIZE_DIGITS).tolist()),
        echo_time=float(echo_time) if isinstance(echo_time, int | float) else None,
        b0_count=sum(b < B0_THRESHOLD for b in scan.bvals),
        mask_method=find_mask_method(scan),
        denoised=find_denoising(scan.metadata, read_pipeline_name(scan.dataset)),
    )


def find_mask_method(scan: Scan) -> MaskMethod:
    """Find out where the brain mask is from."""
    return "given" if scan.mask else "computed"


def find_denoising(metadata: Mapping[str, Any], pipeline: str) -> Denoised:
    """Find out whether noise was removed before.

    Parameters
    ----------
    metadata
        Sidecar. A field about denoising decides, then the words of all other fields.
    pipeline
        Name of the pipeline that made the dataset, in lower case; empty for raw data. QSIPrep
        removes noise (MP-PCA) unless told otherwise, which its sidecars do not say.
    """
    for key, value in metadata.items():
        if _has_word(key):
            return "no" if str(value).lower() in NO_DENOISING else "yes"
    if _has_word(json.dumps(metadata, default=str)) or pipeline == QSIPREP:
        return "yes"
    return "unknown" if pipeline else "no"


def _has_word(text: str) -> bool:
    return any(word in text.lower() for word in DENOISING_WORDS)
