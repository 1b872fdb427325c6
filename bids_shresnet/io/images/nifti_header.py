"""The grid of an image from its header alone.

A NIfTI header states the orientation twice, as sform and as qform, which may not agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float
from nibabel.filebasedimages import ImageFileError
from nibabel.openers import ImageOpener
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError

from bids_shresnet.errors import BadInput
from bids_shresnet.io.file_errors import unreadable_finding

HEADER_ERRORS = (OSError, EOFError, HeaderDataError, WrapStructError)
IMAGE_ERRORS = (OSError, EOFError, ValueError, ImageFileError, HeaderDataError)


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
    try:
        with ImageOpener(str(image)) as file:
            header = nib.Nifti1Header.from_fileobj(file, check=False)
    except HEADER_ERRORS as error:
        value = f"the header cannot be read ({error})"
        raise BadInput([unreadable_finding(image, value)]) from error
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
    try:
        header: Any = nib.load(image)
        return tuple(header.shape), np.asarray(header.affine, float)
    except IMAGE_ERRORS as error:
        value = f"the image cannot be read ({error})"
        raise BadInput([unreadable_finding(image, value)]) from error


def _qform_affine(header: nib.Nifti1Header) -> Float[np.ndarray, "4 4"] | None:
    """Return the affine of the quaternion; None if it is no unit quaternion."""
    if header["qform_code"] <= 0 or not np.all(np.abs(header["pixdim"][1:4]) > 0):
        return None
    try:
        return np.asarray(header.get_qform(), float)
    except (HeaderDataError, ValueError):
        return None
