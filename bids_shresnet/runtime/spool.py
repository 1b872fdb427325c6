"""Memory for the values of DWI: ordinary arrays, or temporary files with `--low-mem`.

The system keeps as much of a file in memory as fits, and frees that memory when it is needed.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.runtime.scratch import SPOOL_VARIABLE

READ_BATCH_BYTES = 2**26  # of a DWI held in memory while it is read into such an array


def allocate_array(shape: tuple[int, ...]) -> Float[np.ndarray, "..."]:
    """Return an uninitialized float32 array in C order; a file of it is deleted with the array."""
    folder = os.environ.get(SPOOL_VARIABLE)
    if folder is None or 0 in shape:
        return np.empty(shape, np.float32)
    with tempfile.TemporaryFile(dir=folder) as temporary:
        file: Any = temporary  # numpy accepts any open file, its types do not
        return np.memmap(file, np.float32, "w+", shape=shape)
