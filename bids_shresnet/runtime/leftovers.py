"""Half-written files of processes that died: told apart from those in use, and removed.

A process holds a lock on a temporary file while it writes it, which the system frees if the process
dies, on whatever machine. A file without a lock, and not of this minute, belongs to nobody. Where a
file system has no locks, nothing is removed.
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

TEMPORARY_NAME = re.compile(r"\.[0-9a-f]{12}\..+")
MIN_AGE_SECONDS = 60.0  # a file is made a moment before it is locked

logger = logging.getLogger(__name__)


def temporary_path(path: Path) -> Path:
    """Return a temporary name beside a path that ends like it."""
    return path.with_name(f".{uuid4().hex[:12]}.{path.name}")


@contextmanager
def mark_in_use(path: Path) -> Iterator[None]:
    """Make an empty file, and hold a lock on it in the body."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
    try:
        _try_lock(file)
        yield
    finally:
        os.close(file)


def is_abandoned(path: Path) -> bool:
    """Return whether no process writes a file any more."""
    try:
        if time.time() - path.stat().st_mtime < MIN_AGE_SECONDS:
            return False
        file = os.open(path, os.O_WRONLY)
    except OSError:  # it is complete and renamed, or of another user
        return False
    try:
        return _try_lock(file)
    finally:
        os.close(file)


def remove_leftovers(*folders: Path) -> None:
    """Remove the temporary files in folders that processes that died have left."""
    for folder in folders:
        for path in list(folder.iterdir()) if folder.is_dir() else []:
            if TEMPORARY_NAME.fullmatch(path.name) and is_abandoned(path):
                path.unlink(missing_ok=True)
                logger.info("removed what a run that was killed left: %s", path)


def _try_lock(file: int) -> bool:
    """Lock an open file; False if another process has it, or there are no locks here."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
