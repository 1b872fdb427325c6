"""Where the values of a series lie: in memory, or with `--low-mem` in a temporary file.

Of a file the system keeps in memory what there is room for, and gives the room back when it is needed elsewhere.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.runtime.scratch import SPOOL_VARIABLE

READ_BATCH_BYTES = 2**26  # bytes of a series to hold in memory while it is read into such an array


def allocate_array(shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """An array to be filled, float32 in C order; its file, if it has one, is gone when the array is."""
    folder = os.environ.get(SPOOL_VARIABLE)
    if folder is None or 0 in shape:
        return np.empty(shape, np.float32)
    with tempfile.TemporaryFile(dir=folder) as file:
        room: Any = file  # numpy takes any open file
        return np.memmap(room, np.float32, "w+", shape=shape)
