"""Named arrays in a safetensors file, with a JSON record in its header."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from safetensors import safe_open
from safetensors.numpy import save

from bids_shresnet.io.file_errors import MODEL_REMEDY, raise_bad_input, raise_if_unreadable

RECORD_KEY = "record"
FLOAT_TYPES = (np.float32, np.float64)


def serialize_arrays(
    arrays: Mapping[str, Shaped[np.ndarray, "..."]], record: Mapping[str, Any]
) -> bytes:
    """Return the content of a file with these arrays and this record of plain JSON."""
    stored = {name: np.asarray(value, order="C") for name, value in arrays.items()}
    return bytes(save(stored, metadata={RECORD_KEY: json.dumps(record, sort_keys=True)}))


def check_arrays(path: Path) -> None:
    """Check that a file holds a record, and arrays of finite floating-point numbers.

    Raises
    ------
    BadInput
        If it does not.
    """
    read_record(path)
    arrays = read_arrays(path)
    for name, array in arrays.items():
        if array.dtype not in FLOAT_TYPES:
            raise_bad_input(path, f"the array {name} is of type {array.dtype}", MODEL_REMEDY)
        if not np.isfinite(array).all():
            raise_bad_input(path, f"the array {name} has values that are not finite", MODEL_REMEDY)


def read_record(path: Path) -> dict[str, Any]:
    """Read the record alone, without the arrays.

    Raises
    ------
    BadInput
        If the file is damaged.
    """
    with _open_arrays(path) as file:
        return dict(json.loads(file.metadata()[RECORD_KEY]))


def read_arrays(path: Path) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Read all arrays by name.

    Raises
    ------
    BadInput
        If the file is damaged.
    """
    with _open_arrays(path) as file:
        return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)


@contextmanager
def _open_arrays(path: Path) -> Iterator[Any]:
    with (
        raise_if_unreadable(path, "not a file of arrays", MODEL_REMEDY),
        safe_open(str(path), framework="numpy") as file,
    ):
        yield file
