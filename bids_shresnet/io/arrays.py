"""Arrays in a folder of the work area: one .npy per name, opened without reading them to memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from bids_shresnet.io.storage import atomic_path, read_json, write_json

ARRAY_RECORD_FILE = "record.json"  # written last: a folder without it is unfinished


def write_arrays(
    folder: Path, arrays: Mapping[str, Shaped[np.ndarray, "..."]], record: Mapping[str, Any]
) -> None:
    """Replace the arrays of a folder, and record what they were made from."""
    (folder / ARRAY_RECORD_FILE).unlink(missing_ok=True)
    for path in folder.glob("*.npy"):
        path.unlink()
    for name, array in arrays.items():
        with atomic_path(folder / f"{name}.npy") as path:
            np.save(path, array)
    write_json(folder / ARRAY_RECORD_FILE, record)


def read_array_record(folder: Path) -> Any:
    """Read the record of a folder; None if the folder is unfinished or missing."""
    path = folder / ARRAY_RECORD_FILE
    return read_json(path) if path.exists() else None


def open_arrays(folder: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Map all arrays of a folder into memory, read-only."""
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
