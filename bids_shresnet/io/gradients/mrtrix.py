"""MRtrix's gradient table (.b): one line per volume, its direction (world axes) and b-value."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.io.file_errors import raise_bad_input
from bids_shresnet.io.gradients.fsl import round_gradient_table
from bids_shresnet.io.gradients.number_tables import read_number_rows
from bids_shresnet.io.storage import write_text

COLUMN_COUNT = 4  # x, y, z, b


def read_b_table(path: Path) -> Float[np.ndarray, "n 3"]:
    """Read the directions, of any length; the b-values are those of the .bval.

    Raises
    ------
    InputMissing
        If the file does not exist, or is a link to content that was not fetched.
    BadInput
        If a line does not hold four numbers.
    """
    rows = read_number_rows(path)
    lengths = {row.size for row in rows}
    if lengths != {COLUMN_COUNT}:
        value = f"lines of {sorted(lengths)} numbers"
        raise_bad_input(path, value, "Each line must be x, y, z and b of one volume.")
    return np.stack(rows)[:, :3]


def write_b_table(
    path: Path, bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "n 3"]
) -> None:
    """Write directions along the world axes and b-values in s/mm2."""
    bvals, bvecs = round_gradient_table(bvals, bvecs)
    rows = zip(bvecs.tolist(), bvals.tolist(), strict=True)
    lines = [f"{x:.6f} {y:.6f} {z:.6f} {b:g}\n" for (x, y, z), b in rows]
    write_text(path, "".join(lines))
