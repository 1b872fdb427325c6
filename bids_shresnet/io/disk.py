"""Writability and free space of folders that may not exist yet."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def nearest_existing_path(path: Path) -> Path:
    """Return the path itself, or the nearest of its parents that exists."""
    absolute = path.absolute()
    candidates = (absolute, *absolute.parents)
    return next(candidate for candidate in candidates if os.path.lexists(candidate))


def unwritable_reason(path: Path) -> str:
    """Explain why a folder cannot be made or written; empty if it can. Nothing is written."""
    existing = nearest_existing_path(path)
    if not existing.is_dir():
        return f"{existing} is no folder"
    if existing.resolve().is_relative_to("/proc") or existing.resolve().is_relative_to("/sys"):
        return f"{existing} belongs to the system, not to a disk"
    if not os.access(existing, os.W_OK | os.X_OK):
        return f"no right to write in {existing}"
    return ""


def free_bytes(path: Path) -> int:
    """Return the free space on the disk of a folder."""
    return shutil.disk_usage(nearest_existing_path(path)).free


def disk_id(path: Path) -> int:
    """Return a number that identifies the disk of a folder."""
    return nearest_existing_path(path).stat().st_dev
