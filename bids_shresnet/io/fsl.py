"""FSL gradient tables (.bval, .bvec) at the border: inside, b-vectors are unit vectors along the world axes.

FSL counts the components of a b-vector along the image's axes, in the voxel order of the file, and flips the sign of
the first one if the affine's determinant is positive (BIDS 1.11.1, "Required gradient orientation information").
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.io.file_errors import raise_bad_input, require_file
from bids_shresnet.io.storage import write_text
from bids_shresnet.scans import B0_THRESHOLD

MAX_AXIS_COSINE = (
    1e-2  # largest cosine between two image axes; rounding of headers and qforms stays below 1e-4
)


def from_fsl(
    bvecs: Float[np.ndarray, "n 3"], affine: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "n 3"]:
    """Turn FSL b-vectors of an image with this affine into vectors along the world axes.

    Raises
    ------
    ValueError
        If the affine shears or flattens the grid.
    """
    world: Float[np.ndarray, "n 3"] = bvecs @ fsl_axes(affine).T
    return world


def to_fsl(
    bvecs: Float[np.ndarray, "n 3"], affine: Float[np.ndarray, "4 4"]
) -> Float[np.ndarray, "n 3"]:
    """Turn b-vectors along the world axes into what FSL writes for an image with this affine.

    Raises
    ------
    ValueError
        If the affine shears or flattens the grid.
    """
    components: Float[np.ndarray, "n 3"] = bvecs @ fsl_axes(affine)
    return components


def read_fsl_table(
    bval: Path, bvec: Path
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """Read b-values in s/mm2 and FSL b-vectors, 3 x n or n x 3, unit for weighted volumes and zero for b0 volumes.

    A b-vector's length is not taken as part of the b-value: GE scanners write |g| = sqrt(b / bmax) beside the true b.

    Raises
    ------
    InputMissing
        If a file does not exist, or is a link to content that was not fetched.
    BadInput
        If the tables are not numbers, do not match, or a weighted volume has no direction.
    """
    bvals = np.concatenate(read_number_rows(bval))
    if not np.all(bvals >= 0):
        raise_bad_input(
            bval,
            f"b-values from {bvals.min():g} to {bvals.max():g}",
            "They must be numbers from 0 up, in s/mm2.",
        )
    return bvals, normalize_directions(bvec, _read_bvecs(bvec), bvals)


def normalize_directions(
    table: Path, bvecs: Float[np.ndarray, "m 3"], bvals: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "n 3"]:
    """The b-vectors of a table as unit vectors, zero for b0 volumes.

    Raises
    ------
    BadInput
        If there are not as many as b-values, or a weighted volume has no direction.
    """
    if bvecs.shape != (bvals.size, 3):
        raise_bad_input(
            table, f"{len(bvecs)} b-vectors for {bvals.size} b-values", "Convert the scan again."
        )
    lengths = np.linalg.norm(bvecs, axis=1)
    weighted = bvals >= B0_THRESHOLD
    lost = np.flatnonzero(weighted & ~(lengths > 0))
    if lost.size:
        volumes = " ".join(map(str, lost[:10]))
        raise_bad_input(
            table,
            f"no direction for the weighted volumes {volumes} (counted from 0)",
            "Convert the scan again.",
        )
    units: Float[np.ndarray, "n 3"] = np.divide(
        bvecs, lengths[:, None], out=np.zeros_like(bvecs), where=weighted[:, None]
    )
    return units


def write_fsl_table(
    bval: Path, bvec: Path, bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "n 3"]
) -> None:
    """Write b-values and FSL b-vectors in FSL's layout: one line of b, three lines of components."""
    bvals, bvecs = round_gradient_table(bvals, bvecs)
    write_text(bval, " ".join(f"{b:g}" for b in bvals) + "\n")
    write_text(bvec, "".join(" ".join(f"{v:.6f}" for v in axis) + "\n" for axis in bvecs.T))


def round_gradient_table(
    bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """A table to the digits that its files keep: six of a b-value, six decimals of a component, no minus zero."""
    kept: Float[np.ndarray, " n"] = np.array([float(f"{b:g}") for b in bvals])
    return kept, np.round(bvecs, 6) + 0


def fsl_axes(affine: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "3 3"]:
    """Return the unit world directions of FSL's three components, in columns: an orthonormal, left-handed matrix.

    Raises
    ------
    ValueError
        If the affine shears or flattens the grid.
    """
    axes = image_axes(affine)
    axes[:, 0] *= -np.sign(np.linalg.det(axes))
    return axes


def image_axes(affine: Float[np.ndarray, "4 4"]) -> Float[np.ndarray, "3 3"]:
    """Return the unit world directions of an image's three axes, in columns: an orthonormal matrix.

    Raises
    ------
    ValueError
        If the affine shears or flattens the grid.
    """
    edges = np.asarray(affine, float)[:3, :3]
    sizes = np.linalg.norm(edges, axis=0)
    if not np.all(sizes > 0):
        msg = f"voxel sizes must be positive, got {sizes}"
        raise ValueError(msg)
    axes = edges / sizes
    cosines = np.abs(axes.T @ axes - np.eye(3))
    if cosines.max() > MAX_AXIS_COSINE:
        msg = f"the grid is sheared: cosine of {cosines.max():.3f} between two image axes"
        raise ValueError(msg)
    # the nearest orthonormal axes, so that to_fsl undoes from_fsl exactly even where a header is rounded
    left, _, right = np.linalg.svd(axes)
    orthonormal: Float[np.ndarray, "3 3"] = left @ right
    return orthonormal


def _read_bvecs(bvec: Path) -> Float[np.ndarray, "n 3"]:
    """Return b-vectors in rows, from either layout; FSL's own (three lines) where both fit."""
    table = read_number_table(bvec)
    if 3 not in table.shape:
        raise_bad_input(
            bvec,
            f"a table of {table.shape[0]} x {table.shape[1]}",
            "It must be 3 x n (FSL) or n x 3.",
        )
    return table.T if table.shape[0] == 3 else table


def read_number_table(path: Path) -> Float[np.ndarray, "r c"]:
    """Read a table of numbers.

    Raises
    ------
    InputMissing
        If the file does not exist, or is a link to content that was not fetched.
    BadInput
        If it holds no numbers, or its lines differ in length.
    """
    rows = read_number_rows(path)
    lengths = sorted({row.size for row in rows})
    if len(lengths) > 1:
        value = f"not a table of numbers: lines of {lengths} numbers"
        raise_bad_input(path, value, "All lines must be of the same length.")
    return np.stack(rows)


def read_number_rows(path: Path) -> list[Float[np.ndarray, " k"]]:
    """Read the numbers of a table, line by line; empty lines are skipped and the last line end may be missing."""
    require_file(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [np.array(line.split(), dtype=float) for line in lines]
    except OSError as error:
        raise_bad_input(path, f"the file cannot be read ({error})", "Copy it again.")
    except ValueError as error:
        raise_bad_input(path, f"not a table of numbers ({error})", "Convert the scan again.")
    rows = [row for row in rows if row.size]
    if not rows:
        raise_bad_input(path, "the file is empty", "Convert the scan again.")
    return rows
