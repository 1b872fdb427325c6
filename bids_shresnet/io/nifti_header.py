"""What a NIfTI header says of where its voxels are: twice, as sform and as qform, and they may not agree.

The header is taken as it stands; reading the image, nibabel would mend what is to be found here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float
from nibabel.openers import ImageOpener

from bids_shresnet.errors import BadInput, Finding


@dataclass(frozen=True)
class HeaderOrientation:
    """The orientation fields of a header.

    Attributes
    ----------
    pixdim
        Voxel sizes in mm, as written.
    sform, qform
        Voxel indices to RAS mm; None where the code is 0 or the fields make no sense.
    sform_code, qform_code
        What the coordinates refer to; 0: nothing is known.
    """

    pixdim: Float[np.ndarray, " 3"]
    sform: Float[np.ndarray, "4 4"] | None
    qform: Float[np.ndarray, "4 4"] | None
    sform_code: int
    qform_code: int


def read_header_orientation(image: Path) -> HeaderOrientation:
    """Read the orientation fields of a header.

    Raises
    ------
    BadInput
        If it cannot be read.
    """
    try:
        with ImageOpener(str(image)) as file:
            header = nib.Nifti1Header.from_fileobj(file, check=False)
    except (
        OSError,
        EOFError,
        nib.spatialimages.HeaderDataError,
        nib.wrapstruct.WrapStructError,
    ) as error:
        raise BadInput(
            [unreadable_finding(image, f"the header cannot be read ({error})")]
        ) from error
    return HeaderOrientation(
        pixdim=np.asarray(header["pixdim"][1:4], float),
        sform=np.asarray(header.get_sform(), float) if header["sform_code"] > 0 else None,
        qform=_qform_affine(header),
        sform_code=int(header["sform_code"]),
        qform_code=int(header["qform_code"]),
    )


def _qform_affine(header: nib.Nifti1Header) -> Float[np.ndarray, "4 4"] | None:
    """Make the affine of a quaternion, if it is one."""
    if header["qform_code"] <= 0 or not np.all(np.abs(header["pixdim"][1:4]) > 0):
        return None
    try:
        return np.asarray(header.get_qform(), float)
    except (
        nib.spatialimages.HeaderDataError,
        ValueError,
    ):  # longer than a unit quaternion: as good as none
        return None


def read_grid(image: Path) -> tuple[tuple[int, ...], Float[np.ndarray, "4 4"]]:
    """Shape and affine (voxel indices to RAS mm) from the header of an image.

    Raises
    ------
    BadInput
        If it cannot be read.
    """
    damage = (
        OSError,
        EOFError,
        ValueError,
        nib.filebasedimages.ImageFileError,
        nib.spatialimages.HeaderDataError,
    )
    try:
        header: Any = nib.load(image)
        return tuple(header.shape), np.asarray(header.affine, float)
    except damage as error:
        raise BadInput(
            [unreadable_finding(image, f"the image cannot be read ({error})")]
        ) from error


def unreadable_finding(path: Path, value: str) -> Finding:
    """Tell content that was not fetched from a broken file."""
    remedy = "Copy or convert it again; an annexed file is fetched with `datalad get`."
    if path.is_symlink() and not path.exists():
        value, remedy = "a link to content that is not here", f"Fetch it with `datalad get {path}`."
    elif path.exists() and not path.stat().st_size:
        value, remedy = "the file is empty", "Copy or convert it again."
    return Finding("error", str(path), value, remedy)
