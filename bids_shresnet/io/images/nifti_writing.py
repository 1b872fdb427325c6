"""Write NIfTI images on the grid of the scan that they were made from.

They get the voxel order, affine and orientation codes of its file, so that viewers and pipelines
show both on exactly the same grid.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float, Shaped

from bids_shresnet.io.gradients.gradient_tables import write_gradient_table
from bids_shresnet.io.images.nifti import (
    GRID_TOLERANCE_MM,
    grid_shift,
    image_affine,
    open_image,
    read_voxel_order,
)
from bids_shresnet.io.storage import atomic_path
from bids_shresnet.scans import BvecAxes, Dwi

SCANNER_XFORM_CODE = 1  # NIfTI's code for scanner coordinates
SECONDS_PER_UNIT = {"msec": 1e-3, "usec": 1e-6}
COPIED_FIELDS = (
    "qform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
    "sform_code",
    "srow_x",
    "srow_y",
    "srow_z",
    "dim_info",
)


def write_volume(
    path: Path, data: Shaped[np.ndarray, "x y z *n"], affine: Float[np.ndarray, "4 4"], like: Path
) -> None:
    """Write data in canonical order as an image on the grid of `like`.

    Masks are written as uint8, everything else as float32 without scaling. Of the header of `like`,
    only its grid and repetition time are copied, so that no description, name or extension of the
    input leaks. Equal data give equal bytes.

    Raises
    ------
    ValueError
        If data and affine are not on the canonical grid of `like`.
    """
    template = open_image(like)
    order = read_voxel_order(template, like)
    stored = order.from_canonical(data)
    shift = grid_shift(affine, order.canonical_affine(template.shape))
    if stored.shape[:3] != template.shape[:3] or not shift <= GRID_TOLERANCE_MM:
        msg = (
            f"{path.name}: {stored.shape[:3]} voxels are not on the grid of {like}, "
            f"{template.shape[:3]} voxels"
        )
        raise ValueError(msg)
    with atomic_path(path) as temporary:
        nib.save(make_image_like(template, stored), temporary)


def write_dwi(
    stem: Path, dwi: Dwi, like: Path, *, bvec_axes: BvecAxes = "fsl", has_b_table: bool = False
) -> None:
    """Write `stem`.bval, .bvec, MRtrix's .b on request and, last, .nii.gz on the grid of `like`.

    Where the image exists, its tables do, too. b-values keep six digits, components six decimals.

    Raises
    ------
    ValueError
        If the DWI is not on the canonical grid of `like`.
    """
    affine = image_affine(open_image(like))
    write_gradient_table(stem, dwi, affine, bvec_axes=bvec_axes, has_b_table=has_b_table)
    write_volume(stem.with_name(f"{stem.name}.nii.gz"), dwi.data, dwi.affine, like)


def make_image_like(template: Any, data: Shaped[np.ndarray, "i j k *n"]) -> Any:
    """Make a NIfTI image of data in the voxel order of the template, as `write_volume` does."""
    stored = data.astype(np.uint8 if data.dtype == bool else np.float32, copy=False)
    return nib.Nifti1Image(stored, None, _make_header(template, stored))


def _make_header(template: Any, stored: Shaped[np.ndarray, "i j k *n"]) -> nib.Nifti1Header:
    """Make a new header with the grid and the timing of the template."""
    header = nib.Nifti1Header()
    header.set_data_dtype(stored.dtype)
    header.set_data_shape(stored.shape)
    for field in COPIED_FIELDS:
        header[field] = template.header[field]
    header["pixdim"][:4] = template.header["pixdim"][:4]
    if stored.ndim == len(template.shape) == 4:
        unit = template.header.get_xyzt_units()[1]
        header["pixdim"][4] = template.header["pixdim"][4] * SECONDS_PER_UNIT.get(unit, 1)
    header.set_xyzt_units("mm", "sec")
    if header["qform_code"] == header["sform_code"] == 0:
        header.set_sform(image_affine(template), SCANNER_XFORM_CODE)
    return header
