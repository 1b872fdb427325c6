"""Plain text tables of numbers, such as .bval, .bvec and MRtrix's .b."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from bids_shresnet.io.file_errors import raise_bad_input, raise_if_unreadable, require_file


def read_number_table(path: Path) -> Float[np.ndarray, "r c"]:
    """Read a table whose lines have the same length.

    Raises
    ------
    InputMissing
        If the file does not exist, or is a link to content that was not fetched.
    BadInput
        If it does not hold numbers, or its lines differ in length.
    """
    rows = read_number_rows(path)
    lengths = sorted({row.size for row in rows})
    if len(lengths) > 1:
        value = f"not a table of numbers: lines of {lengths} numbers"
        raise_bad_input(path, value, "All lines must be of the same length.")
    return np.stack(rows)


def read_number_rows(path: Path) -> list[Float[np.ndarray, " k"]]:
    """Read the numbers of a table line by line, without empty lines.

    Raises
    ------
    InputMissing
        If the file does not exist, or is a link to content that was not fetched.
    BadInput
        If it does not hold numbers.
    """
    require_file(path)
    with raise_if_unreadable(
        path, "not a table of numbers", "Convert the scan again.", should_catch_disk_errors=True
    ):
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [np.array(line.split(), dtype=float) for line in lines]
    rows = [row for row in rows if row.size]
    if not rows:
        raise_bad_input(path, "the file is empty", "Convert the scan again.")
    return rows
