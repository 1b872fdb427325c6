"""Write NIfTI images on the grid of the scan that they were made from.

They get the voxel order, affine and orientation codes of its file, so that viewers and pipelines
show both on exactly the same grid.
"""

from __future__ import annotations

from math import floor, log2
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
from bids_shresnet.settings import OutputType
from bids_shresnet.version import __version__

INT16_MAX = np.iinfo(np.int16).max
ROUNDING = 1e-6  # of values, which are float32
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
    path: Path,
    data: Shaped[np.ndarray, "x y z *n"],
    affine: Float[np.ndarray, "4 4"],
    like: Path,
    *,
    output_type: OutputType = "float32",
    display_max: float = 0.0,
) -> None:
    """Write data in canonical order as an image on the grid of `like`.

    Masks are written as uint8, everything else as `output_type` (see `make_image_like`). Of the
    header of `like`, only its grid and repetition time are copied, so that no description, name or
    extension of the input leaks. Equal data give equal bytes. Viewers show values from 0 to
    `display_max`, unless it is 0.

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
        image = make_image_like(template, stored, output_type)
        image.header["cal_max"] = display_max
        nib.save(image, temporary)


def write_dwi(
    stem: Path,
    dwi: Dwi,
    like: Path,
    *,
    bvec_axes: BvecAxes = "fsl",
    has_b_table: bool = False,
    output_type: OutputType = "float32",
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
    image = stem.with_name(f"{stem.name}.nii.gz")
    write_volume(image, dwi.data, dwi.affine, like, output_type=output_type)


def make_image_like(
    template: Any, data: Shaped[np.ndarray, "i j k *n"], output_type: OutputType = "float32"
) -> Any:
    """Make a NIfTI image of data in the voxel order of the template.

    With "int16", or with "input" where the template has integers of 16 bits, values are rounded to
    a fraction 2^-k of the template's step, with the largest k that fits. The template's own
    values, such as b=0 volumes, then stay exact, and the rounding error is at most 2^-15 of the
    largest value. The integers are what the image holds until it is written and loaded.
    """
    if data.dtype == bool:
        return _make_image(template, data.astype(np.uint8))
    if output_type == "float32" or (output_type == "input" and not has_short_integers(template)):
        return _make_image(template, data.astype(np.float32, copy=False))
    step = find_step(template, data)
    image = _make_image(template, round_to_integers(data, step))
    image.header.set_slope_inter(step, 0.0)  # a header that is passed on loses its slope
    return image


def _make_image(template: Any, stored: Shaped[np.ndarray, "i j k *n"]) -> Any:
    return nib.Nifti1Image(stored, None, _make_header(template, stored))


def has_short_integers(template: Any) -> bool:
    """Tell whether an image holds integers of at most 16 bits, and zero where it holds a 0."""
    data_type = np.dtype(template.get_data_dtype())
    return data_type.kind in "iu" and data_type.itemsize <= 2 and template.dataobj.inter == 0


def find_step(template: Any, data: Shaped[np.ndarray, "i j k *n"]) -> float:
    """Return the step between two integers: that of the template by a power of two."""
    step = float(template.dataobj.slope) if has_short_integers(template) else 1.0
    largest = float(np.abs(data).max(initial=0.0))
    if not largest:
        return step
    doublings = log2(INT16_MAX * step / largest)
    return step * 2.0 ** -floor(doublings + ROUNDING)


def round_to_integers(data: Shaped[np.ndarray, "i j k *n"], step: float) -> np.ndarray:
    """Round values to multiples of a step, volume by volume, for memory's sake."""
    stored = np.empty(data.shape, np.int16)
    volumes = np.moveaxis(data.reshape(*data.shape[:3], -1), -1, 0)
    targets = np.moveaxis(stored.reshape(*data.shape[:3], -1), -1, 0)
    for target, volume in zip(targets, volumes, strict=True):
        np.rint(volume / step, out=target, casting="unsafe")
    return stored


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
    header["descrip"] = f"bids_shresnet {__version__}"
    if header["qform_code"] == header["sform_code"] == 0:
        header.set_sform(image_affine(template), SCANNER_XFORM_CODE)
    return header
