"""Images as dcm2niix writes them: voxels in LAS order, 16-bit integers, FSL gradients."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
from jaxtyping import Float

from bids_shresnet.io.gradients.fsl import write_fsl_table
from bids_shresnet.io.gradients.gradient_axes import to_fsl
from bids_shresnet.io.images.nifti_writing import SCANNER_XFORM_CODE
from bids_shresnet.io.storage import atomic_path
from bids_shresnet.scans import Dwi

INT16_MAX = np.iinfo(np.int16).max


def write_raw_dwi(stem: Path, dwi: Dwi, *, repetition_time: float) -> None:
    """Write `stem`.nii.gz, .bval and .bvec of a scan in canonical order.

    Parameters
    ----------
    repetition_time
        Seconds between volumes.
    """
    image = stem.with_name(f"{stem.name}.nii.gz")
    bval = stem.with_name(f"{stem.name}.bval")
    bvec = stem.with_name(f"{stem.name}.bvec")
    affine = write_raw_image(image, dwi.data, dwi.affine, repetition_time=repetition_time)
    write_fsl_table(bval, bvec, dwi.bvals, to_fsl(dwi.bvecs, affine))


def write_raw_image(
    path: Path,
    data: Float[np.ndarray, "x y z *n"],
    affine: Float[np.ndarray, "4 4"],
    *,
    repetition_time: float = 0.0,
) -> Float[np.ndarray, "4 4"]:
    """Write data in canonical order as an LAS image and return the affine of the file.

    Parameters
    ----------
    repetition_time
        Seconds between volumes.
    """
    mirror = np.diag([-1.0, 1.0, 1.0, 1.0])
    mirror[0, 3] = data.shape[0] - 1
    las_affine = affine @ mirror
    stored = np.clip(np.rint(data[::-1]), 0, INT16_MAX).astype(np.int16)
    image = nib.Nifti1Image(stored, las_affine)
    image.header.set_xyzt_units("mm", "sec")
    image.set_sform(las_affine, SCANNER_XFORM_CODE)
    image.set_qform(las_affine, SCANNER_XFORM_CODE)
    if stored.ndim == 4:
        image.header["pixdim"][4] = repetition_time
    with atomic_path(path) as temporary:
        nib.save(image, temporary)
    return np.asarray(image.affine)
