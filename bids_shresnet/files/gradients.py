"""The gradient table of a scan at the border: inside, b-vectors are unit vectors along the world axes.

A .bvec counts along FSL's axes, as BIDS demands, or along the image's own, as QSIPrep writes it; the two differ in the
sign of the first component where the affine's determinant is positive. QSIPrep also writes the directions along the
world axes (MRtrix's .b), which leave no doubt: where they are, they count, and tell what the .bvec follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.files.fsl import fsl_axes, image_axes, read_table, unit_directions, write_table
from bids_shresnet.files.inputs import refuse
from bids_shresnet.files.mrtrix import read_b_table, write_b_table
from bids_shresnet.files.qsiprep import QSIPREP
from bids_shresnet.files.series import DwiFile
from bids_shresnet.scans import BvecAxes, Dwi, Scan

AXES: Mapping[BvecAxes, Callable[[Float[np.ndarray, "4 4"]], Float[np.ndarray, "3 3"]]] = {
    "fsl": fsl_axes,
    "image": image_axes,
}  # unit world directions of what the components count along, in columns
CONVENTIONS: Mapping[BvecAxes, str] = {
    "fsl": "FSL: components along the image's axes, the first flipped if the affine's determinant is positive",
    "image": "QSIPrep: components along the image's axes, without FSL's flip; the .b beside it, where there is one, "
    "holds the same directions along the world axes",
}
PIPELINES: Mapping[str, BvecAxes] = {QSIPREP: "image"}
ORTHOGONAL = "Resample it on an orthogonal grid."
APART = 2.0  # degrees, on average, from which a .bvec and a .b are said to disagree; rounding stays far below


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
    bvals, bvecs = read_table(scan.bval, scan.bvec)
    if scan.b_table is not None:
        return bvals, unit_directions(scan.b_table, read_b_table(scan.b_table), bvals)
    try:
        return bvals, bvecs @ AXES[scan.bvec_axes](affine).T
    except ValueError as error:
        refuse(scan.image, str(error), ORTHOGONAL)


def write_gradient_table(
    stem: Path, dwi: Dwi, affine: Float[np.ndarray, "4 4"], *, bvec_axes: BvecAxes, b_table: bool
) -> None:
    """Write `stem`.bval and .bvec, and .b if asked to, for an image with this affine."""
    bval, bvec, b = (stem.with_name(stem.name + extension) for extension in (".bval", ".bvec", ".b"))
    write_table(bval, bvec, dwi.bvals, dwi.bvecs @ AXES[bvec_axes](affine))
    if b_table:
        write_b_table(b, dwi.bvals, dwi.bvecs)


def find_axes(
    file: DwiFile, bvecs: Float[np.ndarray, "n 3"], affine: Float[np.ndarray, "4 4"]
) -> tuple[BvecAxes, tuple[Finding, ...]]:
    """What the b-vectors of a .bvec count along: by the .b beside it, else by the pipeline that wrote it, else FSL's.

    Raises
    ------
    BadInput
        If the .b cannot be used, or the grid is sheared.
    """
    usual = PIPELINES.get(file.pipeline, "fsl")
    if file.b_table is None:
        return usual, ()
    world = read_b_table(file.b_table)
    if world.shape != bvecs.shape:
        refuse(
            file.b_table, f"{len(world)} directions, but {len(bvecs)} in {file.bvec}", "One is not the scan's table."
        )
    try:
        apart = {axes: _angle(bvecs @ frame(affine).T, world) for axes, frame in AXES.items()}
    except ValueError as error:
        raise BadInput([Finding("error", str(file.image), str(error), ORTHOGONAL)]) from error
    closest = min(apart, key=lambda axes: (apart[axes], axes != usual))
    if apart[closest] <= APART:
        return closest, ()
    value = f"its b-vectors and those of {file.b_table.name} are {apart[closest]:.0f} degrees apart on average"
    return usual, (
        Finding("warning", str(file.bvec), value, f"{file.b_table.name} is used; check which one is right."),
    )


def _angle(one: Float[np.ndarray, "n 3"], other: Float[np.ndarray, "n 3"]) -> float:
    """Mean angle in degrees between two tables, of any lengths; a direction and its opposite are the same."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    known = lengths > 0
    cosines = np.abs((one * other).sum(axis=1)[known]) / lengths[known]
    return float(np.degrees(np.arccos(np.clip(cosines, 0, 1))).mean()) if known.any() else 0.0
