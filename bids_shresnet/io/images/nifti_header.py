"""The grid of an image from its header alone.

A NIfTI header states the orientation twice, as sform and as qform, which may not agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError

from bids_shresnet.io.file_errors import raise_bad_input, raise_if_unreadable

MAX_COMPRESSION = 1032  # deflate makes nothing smaller (zlib, "Technical Details")
SPATIAL_AXES = 3
REAL_KINDS = "iuf"  # of numpy's data types: integers and floats


@dataclass(frozen=True)
class HeaderOrientation:
    """The orientation fields of a header.

    Attributes
    ----------
    pixdim
        Voxel sizes in mm, as written.
    sform, qform
        Voxel indices to RAS mm; None if the code is 0 or the fields are invalid.
    sform_code, qform_code
        NIfTI's codes for the space of the coordinates; 0 is unknown.
    """

    pixdim: Float[np.ndarray, " 3"]
    sform: Float[np.ndarray, "4 4"] | None
    qform: Float[np.ndarray, "4 4"] | None
    sform_code: int
    qform_code: int


def read_header_orientation(image: Path) -> HeaderOrientation:
    """Read the orientation fields of a header as they are; nibabel corrects them in images.

    Raises
    ------
    BadInput
        If the header cannot be read.
    """
    with raise_if_unreadable(image, "the header cannot be read", should_catch_disk_errors=True):
        return _parse_orientation(image)


def _parse_orientation(image: Path) -> HeaderOrientation:
    with ImageOpener(str(image)) as file:
        header = nib.Nifti1Header.from_fileobj(file, check=False)
    return HeaderOrientation(
        pixdim=np.asarray(header["pixdim"][1:4], float),
        sform=np.asarray(header.get_sform(), float) if header["sform_code"] > 0 else None,
        qform=_qform_affine(header),
        sform_code=int(header["sform_code"]),
        qform_code=int(header["qform_code"]),
    )


def read_grid(image: Path) -> tuple[tuple[int, ...], Float[np.ndarray, "4 4"]]:
    """Read the shape and the affine (voxel indices to RAS mm) of an image.

    Raises
    ------
    BadInput
        If the image cannot be read.
    """
    with raise_if_unreadable(image, should_catch_disk_errors=True):
        header = load_header(image)
    return tuple(header.shape), np.asarray(header.affine, float)


def load_header(path: Path) -> Any:
    """Open an image with nibabel, without its data.

    Raises
    ------
    OSError
        If it does not exist, or the disk fails.
    BadInput
        If it is no image of real numbers in space, or too short for what its header says: no memory
        is taken for an image that cannot be there.
    """
    with raise_if_unreadable(path, "the image cannot be read"):
        image: Any = nib.load(path)
        shape = tuple(int(size) for size in image.shape)
        data_type = np.dtype(image.get_data_dtype())
    _check_kind(path, shape, data_type)
    _check_size(path, prod(shape) * data_type.itemsize)
    return image


def _check_kind(path: Path, shape: tuple[int, ...], data_type: np.dtype) -> None:
    """Refuse images of other than real numbers, and those without three axes in space."""
    if data_type.kind not in REAL_KINDS:
        remedy = "Only images of real numbers can be used: convert the scan again."
        raise_bad_input(path, f"an image of type {data_type}", remedy)
    if len(shape) < SPATIAL_AXES:
        axes = f"an image of {len(shape)} axes instead of 3 or 4"
        raise_bad_input(path, axes, "Convert the scan again.")


def _check_size(path: Path, data_bytes: int) -> None:
    """Refuse a file that cannot hold its data, if image and header are one file."""
    if path.suffix == ".hdr":
        return
    largest = path.stat().st_size * (MAX_COMPRESSION if path.suffix == ".gz" else 1)
    if data_bytes > largest:
        value = f"too short for the {data_bytes} bytes of data that its header says it has"
        raise_bad_input(path, value, "Copy or convert it again.")


def _qform_affine(header: nib.Nifti1Header) -> Float[np.ndarray, "4 4"] | None:
    """Return the affine of the quaternion; None if it is no unit quaternion."""
    if header["qform_code"] <= 0 or not np.all(np.abs(header["pixdim"][1:4]) > 0):
        return None
    try:
        return np.asarray(header.get_qform(), float)
    except (HeaderDataError, ValueError):
        return None
