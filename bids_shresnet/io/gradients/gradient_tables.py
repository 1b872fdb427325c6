"""The gradient table of a scan, with b-vectors as unit vectors along the world axes.

A .bvec counts along FSL's axes, as BIDS demands, or along the axes of the image, as QSIPrep writes
it. The two differ in the sign of the first component if the determinant of the affine is positive.
QSIPrep also writes directions along the world axes (MRtrix's .b), which are unambiguous: if a scan
has them, they are used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.io.file_errors import raise_bad_input
from bids_shresnet.io.gradients.fsl import (
    normalize_directions,
    read_fsl_table,
    round_gradient_table,
    write_fsl_table,
)
from bids_shresnet.io.gradients.gradient_axes import from_fsl, fsl_axes, image_axes, to_fsl
from bids_shresnet.io.gradients.mrtrix import read_b_table, write_b_table
from bids_shresnet.scans import BvecAxes, Dwi, Scan

AxesFunction = Callable[[Float[np.ndarray, "4 4"]], Float[np.ndarray, "3 3"]]

BVEC_AXES_FUNCTIONS: Mapping[BvecAxes, AxesFunction] = {"fsl": fsl_axes, "image": image_axes}
BVEC_AXES_DESCRIPTIONS: Mapping[BvecAxes, str] = {
    "fsl": "FSL: components along the image's axes, the first flipped if the affine's determinant "
    "is positive",
    "image": "QSIPrep: components along the image's axes, without FSL's flip; the .b beside it, "
    "where there is one, holds the same directions along the world axes",
}
MEMORY_TABLE = Path("b-vectors in memory")  # what an error names if there is no file
SHEARED_GRID_REMEDY = "Resample it on an orthogonal grid."


def read_gradient_table(
    scan: Scan, affine: Float[np.ndarray, "4 4"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """Read b-values in s/mm2 and unit b-vectors along the world axes, zero for b0 volumes.

    Parameters
    ----------
    affine
        Voxel indices to RAS+ mm, of the image file that the b-vectors belong to.

    Raises
    ------
    InputMissing
        If a file does not exist, or is a link to content that was not fetched.
    BadInput
        If a table cannot be used (see `read_fsl_table`, `read_b_table`) or the grid is sheared.
    """
    bvals, bvecs = read_fsl_table(scan.bval, scan.bvec)
    if scan.b_table is not None:
        return bvals, normalize_directions(scan.b_table, read_b_table(scan.b_table), bvals)
    try:
        return bvals, bvecs @ BVEC_AXES_FUNCTIONS[scan.bvec_axes](affine).T
    except ValueError as error:
        raise_bad_input(scan.image, str(error), SHEARED_GRID_REMEDY)


def write_gradient_table(
    stem: Path,
    dwi: Dwi,
    affine: Float[np.ndarray, "4 4"],
    *,
    bvec_axes: BvecAxes,
    has_b_table: bool,
) -> None:
    """Write `stem`.bval and .bvec, and .b on request, for an image with this affine."""
    components = dwi.bvecs @ BVEC_AXES_FUNCTIONS[bvec_axes](affine)
    bval = stem.with_name(f"{stem.name}.bval")
    write_fsl_table(bval, bval.with_suffix(".bvec"), dwi.bvals, components)
    if has_b_table:
        write_b_table(bval.with_suffix(".b"), dwi.bvals, dwi.bvecs)


def round_gradients(dwi: Dwi) -> Dwi:
    """Round b-values and b-vectors to the digits of their files, so that both give equal maps."""
    bvals, components = round_gradient_table(dwi.bvals, to_fsl(dwi.bvecs, dwi.affine))
    units = normalize_directions(MEMORY_TABLE, components, bvals)
    return replace(dwi, bvals=bvals, bvecs=from_fsl(units, dwi.affine))
