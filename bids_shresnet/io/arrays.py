"""Arrays kept in a folder of the work area, one .npy a field, opened without reading them into memory."""

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
    """Write arrays and what they were made from, in place of what was there."""
    (folder / ARRAY_RECORD_FILE).unlink(missing_ok=True)
    for path in folder.glob("*.npy"):
        path.unlink()
    for name, array in arrays.items():
        with atomic_path(folder / f"{name}.npy") as path:
            np.save(path, array)
    write_json(folder / ARRAY_RECORD_FILE, record)


def read_array_record(folder: Path) -> Any:
    """The record of a finished folder, None of an unfinished or missing one."""
    path = folder / ARRAY_RECORD_FILE
    return read_json(path) if path.exists() else None


def open_arrays(folder: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """All arrays of a folder, mapped into memory read-only."""
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}
