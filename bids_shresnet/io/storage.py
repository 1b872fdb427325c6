"""Files that appear whole or not at all, and the plain formats that the app writes.

A file is written under a temporary name in the same folder, flushed to disk and renamed. A killed
job leaves at most a file whose name begins with a dot, which BIDS tools ignore and a later job
removes (see `runtime/leftovers.py`). The rename replaces
a symbolic link instead of following it, so annexed content is never changed.
"""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from bids_shresnet.io.file_errors import raise_if_unreadable
from bids_shresnet.runtime.leftovers import mark_in_use, temporary_path
from bids_shresnet.runtime.write_guard import check_may_write

logger = logging.getLogger(__name__)

NOT_AVAILABLE = "n/a"  # BIDS, "Tabular files": missing and non-applicable values
TABLE_REMEDY = "Save it as tab-separated text in UTF-8, or remove it."
BEYOND_KEY = ""  # of cells beyond the last column


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder, which is renamed to `path` at the end.

    The temporary name ends like `path`, because nibabel chooses the format by extension. Missing
    folders are made. If the body raises, nothing is left and an older `path` stays unchanged.

    Raises
    ------
    OutputError
        If the path does not lie in a folder that the run may write to.
    """
    check_may_write(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        with mark_in_use(temporary):
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Hold a lock beside `path`, for which other jobs wait; the system frees it if the job dies.

    Raises
    ------
    OSError
        If the file system has no locks.
    """
    check_may_write(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    _acquire(lock, path)
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, path: Path) -> None:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        logger.info("another job works on %s: waiting for it", path.name)
        lock.acquire()
    except OSError as error:
        reason = f"{error.strerror}: this file system has no locks, so choose another folder"
        raise OSError(error.errno, reason, lock.lock_file) from error


def remove_file(path: Path) -> None:
    """Remove a file, if there is one.

    Raises
    ------
    OutputError
        If it does not lie in a folder that the run may write to.
    """
    check_may_write(path)
    path.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 with its own line ends, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: Path, record: Mapping[str, Any] | Sequence[Any]) -> None:
    """Write a record with its keys in their order.

    Raises
    ------
    ValueError
        If a number is NaN or infinite, which JSON does not have.
    """
    try:
        text = json.dumps(
            record, indent=2, ensure_ascii=False, allow_nan=False, default=_to_plain_json
        )
    except ValueError as error:
        msg = f"{path}: {error}; leave the key out if a number is undefined"
        raise ValueError(msg) from error
    write_text(path, text + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises
    ------
    FileNotFoundError
        If it does not exist.
    BadInput
        If it is no regular file or holds no JSON.
    """
    with raise_if_unreadable(path, "not valid JSON", "Correct it, copy it again or remove it."):
        return json.loads(path.read_text(encoding="utf-8-sig"))  # Windows writes a mark first


def write_tsv(
    path: Path, rows: Sequence[Mapping[str, object]], columns: Sequence[str] = ()
) -> None:
    """Write a BIDS table: `columns` first, then other keys as they appear.

    Empty and missing cells and NaN become `n/a`.
    """
    keys = [key for row in rows for key in row]
    header = list(dict.fromkeys([*columns, *keys]))
    lines = ["\t".join(header)]
    for row in rows:
        cells = [_format_cell(row.get(column)) for column in header]
        lines.append("\t".join(cells))
    write_text(path, "\n".join(lines) + "\n")


def read_tsv(path: Path) -> list[dict[str, str]]:
    """Read all rows of a table, as text by column; cells beyond the last column are ignored.

    Raises
    ------
    FileNotFoundError
        If it does not exist.
    BadInput
        If it is no regular file or no table of text.
    """
    with raise_if_unreadable(path, "not a table of UTF-8 text with tabs", TABLE_REMEDY):
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", restkey=BEYOND_KEY, restval=""))
        for row in rows:
            row.pop(BEYOND_KEY, None)
        return rows


def hash_file(path: Path) -> str:
    """Return the SHA-256 of the content of a file, in hexadecimal.

    Raises
    ------
    BadInput
        If it is no regular file.
    """
    with raise_if_unreadable(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_record(record: Any) -> str:
    """Return the SHA-256 of a record, in hexadecimal; the order of its keys does not matter."""
    text = json.dumps(
        record, sort_keys=True, separators=(",", ":"), allow_nan=False, default=_to_plain_json
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _to_plain_json(value: object) -> Any:
    """Convert a value that JSON does not have."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):  # a read-only view, as frozen dataclasses hold them
        return dict(value)
    msg = f"{type(value).__name__} cannot be written as JSON: {value!r}"
    raise TypeError(msg)


def _format_cell(value: object) -> str:
    """Return one cell; tabs and line ends, which would end the cell, become spaces."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return NOT_AVAILABLE
    return " ".join(str(value).split()) or NOT_AVAILABLE
