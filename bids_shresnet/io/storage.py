"""Files that appear whole or not at all, and the few plain formats the app writes.

A file is written beside its place under a dot-name, flushed to disk and renamed. A killed job leaves at most a
dot-file, which BIDS tools ignore. The rename replaces a symbolic link instead of following it, so annexed content is
never touched.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from filelock import FileLock

NOT_AVAILABLE = "n/a"  # BIDS, "Tabular files": missing and non-applicable values


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; what was written there becomes `path` at the end.

    The temporary name ends like `path`, because nibabel chooses the format by extension. Missing folders are made.
    If the body raises, nothing is left behind and an older `path` stays as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex[:12]}.{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold a lock beside `path`; another job that wants it waits. It is freed by the system if this job is killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name(f".{path.name}.lock")):
        yield


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 with the line ends it has, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, record: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write a record in its own order.

    Raises
    ------
    ValueError
        If a number is NaN or infinite, which JSON does not know.
    """
    try:
        text = json.dumps(
            record, indent=2, ensure_ascii=False, allow_nan=False, default=_json_value
        )
    except ValueError as error:
        msg = f"{path}: {error}; leave the key out where a number is undefined"
        raise ValueError(msg) from error
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def write_tsv(
    path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()
) -> None:
    """Write a BIDS table: `columns` first, then other keys as they appear; empty, missing and NaN become `n/a`."""
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    lines = [
        "\t".join(names),
        *("\t".join(_format_cell(row.get(name)) for name in names) for row in rows),
    ]
    write_text(path, "\n".join(lines) + "\n")


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_record(record: Any) -> str:
    """Return the SHA-256 of a record, whatever the order of its keys."""
    text = json.dumps(
        record, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_json_value
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _json_value(value: object) -> Any:
    """Turn a value that JSON does not know into one that it knows."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):  # a read-only view, as frozen dataclasses hold them
        return dict(value)
    msg = f"{type(value).__name__} has no place in a JSON record: {value!r}"
    raise TypeError(msg)


def _format_cell(value: object) -> str:
    """Return one cell of a table; tabs and line ends inside a text would break the table, so they become spaces."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return NOT_AVAILABLE
    return " ".join(str(value).split()) or NOT_AVAILABLE


def read_tsv(path: Path) -> list[dict[str, str]]:
    """All rows of a table, as text by heading."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))
