"""Whether a lock of the app is held."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout


def is_locked(path: Path) -> bool:
    """Try to take the lock on a file or folder, as another job would."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False
