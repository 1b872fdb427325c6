"""NIfTI images at the border: inside, arrays are in closest-canonical (RAS-most) voxel order with an affine in mm.

What is written gets back the voxel order, affine and orientation codes of the scan it was made from, so that viewers
and pipelines that hold the input see the output on exactly the same grid.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from nibabel.filebasedimages import ImageFileError
from scipy import ndimage

from bids_shresnet.io.file_errors import raise_bad_input, require_file
from bids_shresnet.io.gradient_tables import read_gradient_table, write_gradient_table
from bids_shresnet.io.storage import atomic_path
from bids_shresnet.io.voxel_order import VoxelOrder
from bids_shresnet.runtime import spool
from bids_shresnet.scans import BvecAxes, Dwi, Scan

GRID_TOLERANCE_MM = 1e-3  # mm; qforms and sforms of one image differ by less through rounding
SCANNER_XFORM_CODE = 1  # NIfTI's code for scanner coordinates
SECONDS_PER_UNIT = {"msec": 1e-3, "usec": 1e-6}
QFORM_FIELDS = (
    "qform_code",
    "quatern_b",
    "quatern_c",
    "quatern_d",
    "qoffset_x",
    "qoffset_y",
    "qoffset_z",
)
SFORM_FIELDS = ("sform_code", "srow_x", "srow_y", "srow_z")


def read_volume(path: Path) -> tuple[Float[np.ndarray, "x y z *n"], Float[np.ndarray, "4 4"]]:
    """Read an image: its data, scaled, as float32 in canonical order, and the affine of this order.

    Raises
    ------
    InputMissing
        If the file does not exist, or is a link to content that was not fetched.
    BadInput
        If it is no NIfTI image of three or four dimensions, damaged, or its affine is singular.
    """
    image = _open_image(path)
    if len(image.shape) not in (3, 4):
        raise_bad_input(
            path,
            f"an image of {len(image.shape)} dimensions",
            "Only 3-D and 4-D images can be used.",
        )
    order = _read_voxel_order(image, path)
    with _raise_if_damaged(path):
        data = (
            _read_volumes(path, type(image), order)
            if len(image.shape) == 4
            else _to_canonical_floats(image.dataobj, order)
        )
    return data, order.canonical_affine(image.shape)


def _read_volumes(
    path: Path, image_class: type[nib.Nifti1Pair], order: VoxelOrder
) -> Float[np.ndarray, "x y z n"]:
    """All volumes, a few at a time: a series is in memory once, or in a file (see spool.py)."""
    volumes = image_class.from_filename(
        path, keep_file_open=True
    ).dataobj  # closed, it would be unpacked anew for each
    grid, count = volumes.shape[:3], volumes.shape[3]
    step = max(1, spool.READ_BATCH_BYTES // (4 * max(1, prod(grid))))
    out = spool.allocate_array((*order.canonical_shape(grid), count))
    for start in range(0, count, step):
        out[..., start : start + step] = _to_canonical_floats(
            volumes[..., start : start + step], order
        )
    return out


def _to_canonical_floats(stored: Any, order: VoxelOrder) -> Float[np.ndarray, "x y z *n"]:
    return order.to_canonical(np.asarray(stored, dtype=np.float32))


def read_dwi(scan: Scan) -> Dwi:
    """Read a scan's signal and gradients.

    Raises
    ------
    InputMissing
        If one of its files does not exist.
    BadInput
        If one of its files is damaged, they do not match, or the grid is sheared.
    """
    bvals, bvecs = read_gradient_table(scan, _affine(_open_image(scan.image)))
    data, affine = read_volume(scan.image)
    volumes = data.shape[3] if data.ndim == 4 else 1
    if volumes != bvals.size:
        raise_bad_input(
            scan.image,
            f"{volumes} volumes for {bvals.size} b-values in {scan.bval.name}",
            "Convert the scan again.",
        )
    return Dwi(data.reshape(*data.shape[:3], volumes), affine, bvals, bvecs)


def read_mask(
    path: Path, shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"]
) -> Bool[np.ndarray, "x y z"]:
    """Read a mask, which must be on the canonical grid given by shape and affine.

    Raises
    ------
    BadInput
        If the grid is another one.
    """
    return read_labels(path, shape, affine) > 0


def read_labels(
    path: Path, shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"]
) -> Int[np.ndarray, "x y z"]:
    """Read a discrete segmentation, which must be on the canonical grid given by shape and affine.

    Raises
    ------
    BadInput
        If the grid is another one.
    """
    data, own_affine = read_volume(path)
    own_shape = tuple(n for axis, n in enumerate(data.shape) if axis < 3 or n > 1)
    if own_shape != tuple(shape):
        raise_bad_input(
            path,
            f"a grid of {own_shape} voxels, the scan's is {tuple(shape)}",
            "Resample it on the scan's grid.",
        )
    shift = np.abs(own_affine - affine).max()
    if not shift <= GRID_TOLERANCE_MM:
        raise_bad_input(
            path, f"a grid {shift:.3g} mm away from the scan's", "Resample it on the scan's grid."
        )
    labels: Int[np.ndarray, "x y z"] = np.rint(np.nan_to_num(data.reshape(shape))).astype(np.int32)
    return labels


def read_on_grid(
    path: Path, shape: tuple[int, int, int], affine: Float[np.ndarray, "4 4"], *, spline_order: int
) -> Float[np.ndarray, "x y z"]:
    """Read a volume on the canonical grid given by shape and affine, from another grid of the same space if need be.

    Parameters
    ----------
    spline_order
        Of the spline: 0 for labels (the nearest voxel), 1 for probabilities. Outside the volume is 0.

    Raises
    ------
    BadInput
        If it has more than one volume.
    """
    data, own_affine = read_volume(path)
    if data[..., None].shape[3] != 1:
        raise_bad_input(
            path, f"{data.shape[3]} volumes", "Only a segmentation of one volume can be used."
        )
    volume: Float[np.ndarray, "x y z"] = np.nan_to_num(data.reshape(data.shape[:3]))
    if volume.shape == tuple(shape) and np.abs(own_affine - affine).max() <= GRID_TOLERANCE_MM:
        return volume
    there = np.linalg.inv(own_affine) @ affine  # from voxels of the grid to the volume's
    resampled: Float[np.ndarray, "x y z"] = ndimage.affine_transform(
        volume, there, output_shape=shape, order=spline_order
    )
    return resampled


def write_volume(
    path: Path, data: Shaped[np.ndarray, "x y z *n"], affine: Float[np.ndarray, "4 4"], like: Path
) -> None:
    """Write data in canonical order as an image in the voxel order, affine and orientation codes of `like`.

    Masks are written as uint8, all else as float32 without scaling; the repetition time of `like` stays. Nothing else
    of its header does, so no description, name or extension of the input leaks. Equal data give equal bytes.

    Raises
    ------
    ValueError
        If data and affine are not on the canonical grid of `like`.
    """
    template = _open_image(like)
    order = _read_voxel_order(template, like)
    canonical_affine = order.canonical_affine(template.shape)
    stored = order.from_canonical(data)
    if stored.shape[:3] != template.shape[:3] or not np.allclose(
        affine, canonical_affine, rtol=0, atol=GRID_TOLERANCE_MM
    ):
        msg = f"{path.name}: {stored.shape[:3]} voxels are not on the grid of {like}, {template.shape[:3]} voxels"
        raise ValueError(msg)
    with atomic_path(path) as temporary:
        nib.save(make_image_like(template, stored), temporary)


def make_image_like(template: Any, data: Shaped[np.ndarray, "i j k *n"]) -> Any:
    """A NIfTI image of data in the template's voxel order, with its placement and timing (see `write_volume`)."""
    stored = data.astype(np.uint8 if data.dtype == bool else np.float32, copy=False)
    return nib.Nifti1Image(stored, None, _make_header(template, stored))


def write_dwi(
    stem: Path, dwi: Dwi, like: Path, *, bvec_axes: BvecAxes = "fsl", has_b_table: bool = False
) -> None:
    """Write `stem`.bval, .bvec, MRtrix's .b if asked to and, last, .nii.gz: where the image is, its tables are too.

    `like` gives the grid, as for `write_volume`; a b-value of six digits and components of six decimals are kept.
    """
    write_gradient_table(
        stem, dwi, _affine(_open_image(like)), bvec_axes=bvec_axes, has_b_table=has_b_table
    )
    write_volume(stem.with_name(f"{stem.name}.nii.gz"), dwi.data, dwi.affine, like)


def _make_header(template: Any, stored: Shaped[np.ndarray, "i j k *n"]) -> nib.Nifti1Header:
    """Make a fresh header with the placement and timing of the template, and nothing else of it."""
    header = nib.Nifti1Header()
    header.set_data_dtype(stored.dtype)
    header.set_data_shape(stored.shape)
    for field in (*QFORM_FIELDS, *SFORM_FIELDS, "dim_info"):
        header[field] = template.header[field]
    header["pixdim"][:4] = template.header["pixdim"][:4]
    if stored.ndim == len(template.shape) == 4:
        unit = template.header.get_xyzt_units()[1]
        header["pixdim"][4] = template.header["pixdim"][4] * SECONDS_PER_UNIT.get(unit, 1)
    header.set_xyzt_units("mm", "sec")
    if header["qform_code"] == header["sform_code"] == 0:
        header.set_sform(_affine(template), SCANNER_XFORM_CODE)
    return header


def _affine(image: Any) -> Float[np.ndarray, "4 4"]:
    """Return the map from voxel indices of the file to RAS+ mm."""
    return np.asarray(image.affine, dtype=np.float64)


def _read_voxel_order(image: Any, path: Path) -> VoxelOrder:
    """Tell how the axes of the file lie."""
    try:
        return VoxelOrder.from_affine(_affine(image))
    except ValueError as error:
        raise_bad_input(path, str(error), "Convert the scan again.")


def _open_image(path: Path) -> Any:
    """Open a NIfTI image whose data are still on disk."""
    require_file(path)
    with _raise_if_damaged(path):
        image = nib.load(path)
    if not isinstance(image, nib.Nifti1Pair):
        raise_bad_input(path, f"an image of type {type(image).__name__}", "Convert it to NIfTI.")
    return image


@contextmanager
def _raise_if_damaged(path: Path) -> Iterator[None]:
    """Tell damaged files (bad input) from failing disks (which stay an OSError with its number)."""
    try:
        yield
    except (
        ImageFileError,
        EOFError,
        zlib.error,
        ValueError,
        OSError,
    ) as error:  # ValueError: too short
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise_bad_input(path, f"not a readable NIfTI image ({error})", "Copy or convert it again.")
