"""The axes that the b-vectors of a DWI file refer to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.inputs.qsiprep import QSIPREP
from bids_shresnet.io.file_errors import raise_bad_input
from bids_shresnet.io.gradients.gradient_tables import BVEC_AXES_FUNCTIONS, SHEARED_GRID_REMEDY
from bids_shresnet.io.gradients.mrtrix import read_b_table
from bids_shresnet.scans import BvecAxes

PIPELINE_BVEC_AXES: Mapping[str, BvecAxes] = {QSIPREP: "image"}
# Mean angle above which a .bvec and a .b disagree; the rounding of files stays far below
MAX_MEAN_ANGLE_DEGREES = 2.0


def find_bvec_axes(
    file: DwiFile, bvecs: Float[np.ndarray, "n 3"], affine: Float[np.ndarray, "4 4"]
) -> tuple[BvecAxes, tuple[Finding, ...]]:
    """Find the axes of a .bvec: by the .b beside it, else by the pipeline, else FSL's.

    Parameters
    ----------
    file
        The DWI file.
    bvecs
        The b-vectors as written.
    affine
        Voxel indices of the file to RAS+ mm.

    Raises
    ------
    BadInput
        If the .b cannot be used, or the grid is sheared.
    """
    default = PIPELINE_BVEC_AXES.get(file.pipeline, "fsl")
    if file.b_table is None:
        return default, ()
    directions = _read_b_table(file.b_table, file.bvec, len(bvecs))
    angles = _mean_angles(file, bvecs, affine, directions)
    closest = min(angles, key=lambda axes: (angles[axes], axes != default))
    if angles[closest] <= MAX_MEAN_ANGLE_DEGREES:
        return closest, ()
    name = file.b_table.name
    difference = f"{angles[closest]:.0f} degrees apart on average"
    problem = f"its b-vectors and those of {name} are {difference}"
    remedy = f"{name} is used; check which one is right."
    return default, (Finding.warning(str(file.bvec), problem, remedy),)


def _read_b_table(path: Path, bvec: Path | None, count: int) -> Float[np.ndarray, "n 3"]:
    """Read the directions of a .b, one per b-vector."""
    directions = read_b_table(path)
    if len(directions) != count:
        problem = f"{len(directions)} directions, but {count} in {bvec}"
        raise_bad_input(path, problem, "One is not the scan's table.")
    return directions


def _mean_angles(
    file: DwiFile,
    bvecs: Float[np.ndarray, "n 3"],
    affine: Float[np.ndarray, "4 4"],
    directions: Float[np.ndarray, "n 3"],
) -> dict[BvecAxes, float]:
    """Mean angle in degrees between directions and b-vectors, by the axes of the b-vectors."""
    try:
        return {
            axes: _mean_angle(bvecs @ matrix(affine).T, directions)
            for axes, matrix in BVEC_AXES_FUNCTIONS.items()
        }
    except ValueError as error:
        finding = Finding.error(file.image, str(error), SHEARED_GRID_REMEDY)
        raise BadInput([finding]) from error


def _mean_angle(bvecs: Float[np.ndarray, "n 3"], other_bvecs: Float[np.ndarray, "n 3"]) -> float:
    """Mean angle in degrees between vectors of any lengths; opposite directions are equal."""
    lengths = np.linalg.norm(bvecs, axis=1) * np.linalg.norm(other_bvecs, axis=1)
    is_direction = lengths > 0
    if not is_direction.any():
        return 0.0
    products = (bvecs * other_bvecs).sum(axis=1)
    cosines = np.abs(products[is_direction]) / lengths[is_direction]
    return float(np.degrees(np.arccos(np.clip(cosines, 0, 1))).mean())
