"""FSL gradient tables (.bval, .bvec). `gradient_axes` converts their b-vectors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.io.file_errors import raise_bad_input
from bids_shresnet.io.gradients.number_tables import read_number_rows, read_number_table
from bids_shresnet.io.storage import write_text
from bids_shresnet.scans import B0_THRESHOLD

BVEC_DECIMALS = 6
MAX_LISTED_VOLUMES = 10  # in a finding


def read_fsl_table(
    bval: Path, bvec: Path
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """Read b-values and FSL b-vectors.

    The .bvec may be 3 x n or n x 3. The length of a b-vector does not scale the b-value: GE
    scanners write |g| = sqrt(b / bmax) beside the true b.

    Returns
    -------
    b-values in s/mm2, and b-vectors: unit for weighted volumes, zero for b0 volumes.

    Raises
    ------
    InputMissing
        If a file does not exist, or is a link to content that was not fetched.
    BadInput
        If the tables are not numbers, do not match, or a weighted volume has no direction.
    """
    bvals = np.concatenate(read_number_rows(bval))
    if not np.all(bvals >= 0):
        value = f"b-values from {bvals.min():g} to {bvals.max():g}"
        raise_bad_input(bval, value, "They must be numbers from 0 up, in s/mm2.")
    return bvals, normalize_directions(bvec, _read_bvecs(bvec), bvals)


def normalize_directions(
    table: Path, bvecs: Float[np.ndarray, "m 3"], bvals: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n 3"]:
    """Return the b-vectors of a table as unit vectors, zero for b0 volumes.

    Raises
    ------
    BadInput
        If their number is not that of the b-values, or a weighted volume has no direction.
    """
    if bvecs.shape != (bvals.size, 3):
        value = f"{len(bvecs)} b-vectors for {bvals.size} b-values"
        raise_bad_input(table, value, "Convert the scan again.")
    lengths = np.linalg.norm(bvecs, axis=1)
    is_weighted = bvals >= B0_THRESHOLD
    _check_directions(table, np.flatnonzero(is_weighted & ~(lengths > 0)).tolist())
    units: Float[np.ndarray, "n 3"] = np.divide(
        bvecs, lengths[:, None], out=np.zeros_like(bvecs), where=is_weighted[:, None]
    )
    return units


def write_fsl_table(
    bval: Path, bvec: Path, bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "n 3"]
) -> None:
    """Write b-values and FSL b-vectors: one line of b, three lines of components."""
    bvals, bvecs = round_gradient_table(bvals, bvecs)
    write_text(bval, _format_row(bvals, "g"))
    write_text(bvec, "".join(_format_row(axis, f".{BVEC_DECIMALS}f") for axis in bvecs.T))


def round_gradient_table(
    bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """Round a table to the digits that its files have.

    A b-value has six digits, a component six decimals and no minus zero.
    """
    rounded_bvals: Float[np.ndarray, " n"] = np.array([float(f"{b:g}") for b in bvals])
    return rounded_bvals, np.round(bvecs, BVEC_DECIMALS) + 0


def _format_row(numbers: Float[np.ndarray, " k"], number_format: str) -> str:
    return " ".join(format(number, number_format) for number in numbers.tolist()) + "\n"


def _check_directions(table: Path, volumes_without: list[int]) -> None:
    if volumes_without:
        volumes = " ".join(map(str, volumes_without[:MAX_LISTED_VOLUMES]))
        value = f"no direction for the weighted volumes {volumes} (counted from 0)"
        raise_bad_input(table, value, "Convert the scan again.")


def _read_bvecs(bvec: Path) -> Float[np.ndarray, "n 3"]:
    """Read b-vectors to rows; a 3 x 3 table has FSL's own layout (three lines)."""
    table = read_number_table(bvec)
    if 3 not in table.shape:
        value = f"a table of {table.shape[0]} x {table.shape[1]}"
        raise_bad_input(bvec, value, "It must be 3 x n (FSL) or n x 3.")
    return table.T if table.shape[0] == 3 else table
