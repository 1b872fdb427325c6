"""The axes that the b-vectors of a DWI file refer to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.inputs.qsiprep import QSIPREP
from bids_shresnet.io.file_errors import raise_bad_input
from bids_shresnet.io.gradient_tables import BVEC_AXES_FUNCTIONS, SHEARED_GRID_REMEDY
from bids_shresnet.io.mrtrix import read_b_table
from bids_shresnet.scans import BvecAxes

PIPELINE_BVEC_AXES: Mapping[str, BvecAxes] = {QSIPREP: "image"}
MAX_MEAN_ANGLE_DEGREES = 2.0  # degrees, on average, from which a .bvec and a .b are said to disagree; rounding stays far below


def find_bvec_axes(
    file: DwiFile, bvecs: Float[np.ndarray, "n 3"], affine: Float[np.ndarray, "4 4"]
) -> tuple[BvecAxes, tuple[Finding, ...]]:
    """What the b-vectors of a .bvec count along: by the .b beside it, else by the pipeline that wrote it, else FSL's.

    Raises
    ------
    BadInput
        If the .b cannot be used, or the grid is sheared.
    """
    usual = PIPELINE_BVEC_AXES.get(file.pipeline, "fsl")
    if file.b_table is None:
        return usual, ()
    world = read_b_table(file.b_table)
    if world.shape != bvecs.shape:
        raise_bad_input(
            file.b_table,
            f"{len(world)} directions, but {len(bvecs)} in {file.bvec}",
            "One is not the scan's table.",
        )
    try:
        apart = {
            axes: _mean_angle(bvecs @ frame(affine).T, world)
            for axes, frame in BVEC_AXES_FUNCTIONS.items()
        }
    except ValueError as error:
        raise BadInput(
            [Finding("error", str(file.image), str(error), SHEARED_GRID_REMEDY)]
        ) from error
    closest = min(apart, key=lambda axes: (apart[axes], axes != usual))
    if apart[closest] <= MAX_MEAN_ANGLE_DEGREES:
        return closest, ()
    value = f"its b-vectors and those of {file.b_table.name} are {apart[closest]:.0f} degrees apart on average"
    return usual, (
        Finding(
            "warning",
            str(file.bvec),
            value,
            f"{file.b_table.name} is used; check which one is right.",
        ),
    )


def _mean_angle(bvecs: Float[np.ndarray, "n 3"], other_bvecs: Float[np.ndarray, "n 3"]) -> float:
    """Mean angle in degrees between two tables, of any lengths; a direction and its opposite are the same."""
    lengths = np.linalg.norm(bvecs, axis=1) * np.linalg.norm(other_bvecs, axis=1)
    known = lengths > 0
    cosines = np.abs((bvecs * other_bvecs).sum(axis=1)[known]) / lengths[known]
    return float(np.degrees(np.arccos(np.clip(cosines, 0, 1))).mean()) if known.any() else 0.0
