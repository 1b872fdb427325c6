"""The gradient table of a scan at the border: inside, b-vectors are unit vectors along the world axes.

A .bvec counts along FSL's axes, as BIDS demands, or along the image's own, as QSIPrep writes it; the two differ in the
sign of the first component where the affine's determinant is positive. QSIPrep also writes the directions along the
world axes (MRtrix's .b), which are unambiguous: where they exist, they count, and tell what the .bvec follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.io.file_errors import raise_bad_input
from bids_shresnet.io.fsl import (
    fsl_axes,
    image_axes,
    normalize_directions,
    read_fsl_table,
    write_fsl_table,
)
from bids_shresnet.io.mrtrix import read_b_table, write_b_table
from bids_shresnet.scans import BvecAxes, Dwi, Scan

BVEC_AXES_FUNCTIONS: Mapping[
    BvecAxes, Callable[[Float[np.ndarray, "4 4"]], Float[np.ndarray, "3 3"]]
] = {
    "fsl": fsl_axes,
    "image": image_axes,
}  # unit world directions of what the components count along, in columns
BVEC_AXES_DESCRIPTIONS: Mapping[BvecAxes, str] = {
    "fsl": "FSL: components along the image's axes, the first flipped if the affine's determinant is positive",
    "image": "QSIPrep: components along the image's axes, without FSL's flip; the .b beside it, where there is one, "
    "holds the same directions along the world axes",
}
SHEARED_GRID_REMEDY = "Resample it on an orthogonal grid."


def read_gradient_table(
    scan: Scan, affine: Float[np.ndarray, "4 4"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """Read b-values in s/mm2 and unit b-vectors along the world axes, zero for b0 volumes.

    `affine` is that of the image's file, which its b-vectors count along.

    Raises
    ------
    InputMissing
        If a file does not exist, or is a link to content that was not fetched.
    BadInput
        If the tables cannot be used (see `fsl.read_table`, `mrtrix.read_b_table`) or the grid is sheared.
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
    """Write `stem`.bval and .bvec, and .b if asked to, for an image with this affine."""
    bval, bvec, b = (
        stem.with_name(stem.name + extension) for extension in (".bval", ".bvec", ".b")
    )
    write_fsl_table(bval, bvec, dwi.bvals, dwi.bvecs @ BVEC_AXES_FUNCTIONS[bvec_axes](affine))
    if has_b_table:
        write_b_table(b, dwi.bvals, dwi.bvecs)
