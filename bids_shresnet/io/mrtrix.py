"""MRtrix's gradient table (.b): a line a volume, the direction along the world axes (RAS+) and the b-value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.io.file_errors import raise_bad_input
from bids_shresnet.io.fsl import read_number_rows
from bids_shresnet.io.storage import write_text


def read_b_table(path: Path) -> Float[np.ndarray, "n 3"]:
    """Read the directions, of any length; b-values are those of the .bval.

    Raises
    ------
    InputMissing
        If the file does not exist, or is a link to content that was not fetched.
    BadInput
        If it is no table of four numbers a line.
    """
    rows = [row for row in read_number_rows(path) if row.size]
    if {row.size for row in rows} != {4}:
        raise_bad_input(
            path,
            f"lines of {sorted({row.size for row in rows})} numbers",
            "It must be x, y, z and b, a volume a line.",
        )
    return np.stack(rows)[:, :3]


def write_b_table(
    path: Path, bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "n 3"]
) -> None:
    """Write directions along the world axes, and b-values in s/mm2."""
    table = np.round(bvecs, 6) + 0  # no minus zero
    lines = (f"{x:.6f} {y:.6f} {z:.6f} {b:g}\n" for (x, y, z), b in zip(table, bvals, strict=True))
    write_text(path, "".join(lines))
