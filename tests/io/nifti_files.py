"""NIfTI images written and read by nibabel alone, as an oracle for the package's functions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from jaxtyping import Float, Shaped

from bids_shresnet.scans import Scan
from tests.factories import make_scan

SHAPE = (2, 3, 4)
BVALS = (0.0, 1000.0, 1000.0, 2000.0)
BVECS = np.array([[0, 0, 0], [1, 0, 0], [0, 0.6, 0.8], [0, -0.8, 0.6]])
REPETITION_TIME = 8.5  # s
PERSONAL_TEXT = b"jane"


def diagonal(*sizes: float) -> Float[np.ndarray, "4 4"]:
    """Affine of a grid along the world axes; a negative size is a flipped axis."""
    return np.diag([*sizes, 1.0])


def store(
    path: Path,
    affine: Float[np.ndarray, "4 4"],
    data: Shaped[np.ndarray, "i j k *n"] | None = None,
    codes: tuple[int, int] = (1, 1),
) -> Path:
    """Write an image with these qform and sform codes and with personal data in its header."""
    image = nib.Nifti1Image(np.zeros((*SHAPE, 4), np.int16) if data is None else data, affine)
    image.set_qform(affine, codes[0])
    image.set_sform(affine, codes[1])
    image.header["descrip"] = b"/home/" + PERSONAL_TEXT
    image.header["db_name"] = PERSONAL_TEXT
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", PERSONAL_TEXT))
    if image.ndim == 4:
        image.header.set_zooms((*image.header.get_zooms()[:3], REPETITION_TIME))
    image.header.set_xyzt_units("mm", "sec")
    nib.save(image, path)
    return path


def load(path: Path) -> Any:
    """Open an image; nibabel's types do not know its kind."""
    return nib.load(path)


def scan_at(stem: Path) -> Scan:
    """Scan with the b-values of `BVALS`."""
    return make_scan(stem, bvals=BVALS)
