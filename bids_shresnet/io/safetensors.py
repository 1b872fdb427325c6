"""Named arrays in a safetensors file, with a JSON record in its header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from safetensors import safe_open
from safetensors.numpy import save

RECORD_KEY = "record"


def serialize_arrays(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]], record: Mapping[str, Any]
) -> bytes:
    """Return the content of a file with these arrays and this record of plain JSON."""
    stored = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    return bytes(save(stored, metadata={RECORD_KEY: json.dumps(record, sort_keys=True)}))


def read_record(path: Path) -> dict[str, Any]:
    """Read the record alone, without the arrays."""
    with safe_open(str(path), framework="numpy") as file:
        record: dict[str, Any] = json.loads(file.metadata()[RECORD_KEY])
    return record


def read_arrays(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read all arrays by name."""
    with safe_open(str(path), framework="numpy") as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
