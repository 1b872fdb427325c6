"""Read NIfTI images: arrays in closest-canonical (RAS+) voxel order, with an affine in mm."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float, Int
from nibabel.openers import ImageOpener
from scipy import ndimage

from bids_shresnet.io.file_errors import raise_bad_input, raise_if_unreadable, require_file
from bids_shresnet.io.gradients.gradient_tables import read_gradient_table
from bids_shresnet.io.images.nifti_header import load_header
from bids_shresnet.io.images.voxel_order import VoxelOrder
from bids_shresnet.runtime import spool
from bids_shresnet.scans import Dwi, Scan

GRID_TOLERANCE_MM = 1e-3  # qforms and sforms of one image differ by less through rounding
OTHER_GRID_REMEDY = "Resample it on the scan's grid."
BYTES_PER_VALUE = 4  # float32
REST_BATCH_BYTES = 2**20  # of what follows the values of a compressed image

Grid = tuple[int, int, int]


def read_volume(path: Path) -> tuple[Float[np.ndarray, "x y z *n"], Float[np.ndarray, "4 4"]]:
    """Read an image.

    Returns
    -------
    The scaled data as float32 in canonical order, and the affine of this order.

    Raises
    ------
    InputMissing
        If the file does not exist, or is a link to content that was not fetched.
    BadInput
        If it is damaged, no NIfTI image of three or four dimensions, or its affine is singular.
    """
    image = open_image(path)
    dimensions = len(image.shape)
    if dimensions not in (3, 4):
        value = f"an image of {dimensions} dimensions"
        raise_bad_input(path, value, "Only 3-D and 4-D images can be used.")
    order = read_voxel_order(image, path)
    with (
        raise_if_unreadable(path, "not a readable NIfTI image"),
        _open_values(path, type(image)) as values,
    ):
        data = _read_volumes(values, order) if dimensions == 4 else _read_volume(values, order)
    return data, order.canonical_affine(image.shape)


def read_dwi(scan: Scan) -> Dwi:
    """Read the signal and the gradients of a scan.

    Raises
    ------
    InputMissing
        If one of its files does not exist.
    BadInput
        If one of its files is damaged, they do not match, or the grid is sheared.
    """
    bvals, bvecs = read_gradient_table(scan, image_affine(open_image(scan.image)))
    data, affine = read_volume(scan.image)
    volume_count = data.shape[3] if data.ndim == 4 else 1
    if volume_count != bvals.size:
        value = f"{volume_count} volumes for {bvals.size} b-values in {scan.bval.name}"
        raise_bad_input(scan.image, value, "Convert the scan again.")
    series = data.reshape(*data.shape[:3], volume_count)
    return Dwi(data=series, affine=affine, bvals=bvals, bvecs=bvecs)


def read_mask(
    path: Path, shape: Grid, affine: Float[np.ndarray, "4 4"]
) -> Bool[np.ndarray, "x y z"]:
    """Read a mask, which must be on the canonical grid given by shape and affine.

    Raises
    ------
    BadInput
        If its grid is another one.
    """
    return read_labels(path, shape, affine) > 0


def read_labels(
    path: Path, shape: Grid, affine: Float[np.ndarray, "4 4"]
) -> Int[np.ndarray, "x y z"]:
    """Read a discrete segmentation, which must be on the canonical grid given by shape and affine.

    Raises
    ------
    BadInput
        If its grid is another one.
    """
    data, labels_affine = read_volume(path)
    labels_shape = tuple(n for axis, n in enumerate(data.shape) if axis < 3 or n > 1)
    if labels_shape != tuple(shape):
        value = f"a grid of {labels_shape} voxels, the scan's is {tuple(shape)}"
        raise_bad_input(path, value, OTHER_GRID_REMEDY)
    shift = grid_shift(labels_affine, affine)
    if not shift <= GRID_TOLERANCE_MM:
        raise_bad_input(path, f"a grid {shift:.3g} mm away from the scan's", OTHER_GRID_REMEDY)
    labels: Int[np.ndarray, "x y z"] = np.rint(np.nan_to_num(data.reshape(shape))).astype(np.int32)
    return labels


def read_on_grid(
    path: Path, shape: Grid, affine: Float[np.ndarray, "4 4"], *, spline_order: int
) -> Float[np.ndarray, "x y z"]:
    """Read a volume on the canonical grid given by shape and affine.

    A volume on another grid of the same space is resampled; outside of it, values are 0.

    Parameters
    ----------
    spline_order
        0 for labels (the nearest voxel), 1 for probabilities.

    Raises
    ------
    BadInput
        If it has more than one volume.
    """
    data, volume_affine = read_volume(path)
    if data[..., None].shape[3] != 1:
        value = f"{data.shape[3]} volumes"
        raise_bad_input(path, value, "Only a segmentation of one volume can be used.")
    volume: Float[np.ndarray, "x y z"] = np.nan_to_num(data.reshape(data.shape[:3]))
    is_on_grid = grid_shift(volume_affine, affine) <= GRID_TOLERANCE_MM
    if volume.shape == tuple(shape) and is_on_grid:
        return volume
    grid_to_volume = np.linalg.inv(volume_affine) @ affine  # voxel indices
    return np.asarray(
        ndimage.affine_transform(volume, grid_to_volume, output_shape=shape, order=spline_order)
    )


def grid_shift(affine: Float[np.ndarray, "4 4"], other: Float[np.ndarray, "4 4"]) -> float:
    """Return the largest difference of two affines in mm; NaN if one has a NaN."""
    return float(np.abs(affine - other).max())


def open_image(path: Path) -> Any:
    """Open a NIfTI image without reading its data.

    Raises
    ------
    InputMissing
        If the file does not exist, or is a link to content that was not fetched.
    BadInput
        If it is damaged, or an image of another format.
    """
    require_file(path)
    image = load_header(path)
    if not isinstance(image, nib.Nifti1Pair):
        raise_bad_input(path, f"an image of type {type(image).__name__}", "Convert it to NIfTI.")
    return image


def image_affine(image: Any) -> Float[np.ndarray, "4 4"]:
    """Return the affine from voxel indices of the file to RAS+ mm."""
    return np.asarray(image.affine, dtype=np.float64)


def read_voxel_order(image: Any, path: Path) -> VoxelOrder:
    """Read how the axes of the file are oriented.

    Raises
    ------
    BadInput
        If the affine is singular.
    """
    try:
        return VoxelOrder.from_affine(image_affine(image))
    except ValueError as error:
        raise_bad_input(path, str(error), "Convert the scan again.")


@contextmanager
def _open_values(path: Path, image_class: type[nib.Nifti1Pair]) -> Iterator[Any]:
    """Open the values of an image, in one pass; a compressed file is then read to its end.

    Only there its checksum is compared with what was read. More bytes than the values are legal.
    """
    file_map = image_class.filespec_to_file_map(path)
    name = str(file_map["image"].filename)
    with ImageOpener(name) as file:
        # A file that nibabel opens is decompressed from its beginning for every part.
        file_map["image"].fileobj = file.fobj
        yield image_class.from_file_map(file_map).dataobj
        while name.endswith(".gz") and file.read(REST_BATCH_BYTES):
            pass


def _read_volumes(volumes: Any, order: VoxelOrder) -> Float[np.ndarray, "x y z n"]:
    """Read all volumes, a few at a time, so that they are in memory once (see runtime/spool.py)."""
    grid = volumes.shape[:3]
    count = volumes.shape[3]
    volume_bytes = BYTES_PER_VALUE * max(1, prod(grid))
    step = max(1, spool.READ_BATCH_BYTES // volume_bytes)
    data = spool.allocate_array((*order.canonical_shape(grid), count))
    for start in range(0, count, step):
        part = slice(start, start + step)
        data[..., part] = _read_volume(volumes[..., part], order)
    return data


def _read_volume(stored: Any, order: VoxelOrder) -> Float[np.ndarray, "x y z *n"]:
    return order.to_canonical(np.asarray(stored, dtype=np.float32))
