"""Whether a folder that does not exist yet could be written, and how much fits into it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def nearest_existing_path(path: Path) -> Path:
    """The path itself or the nearest thing above it that exists."""
    whole = path.absolute()
    return next(place for place in (whole, *whole.parents) if os.path.lexists(place))


def unwritable_reason(path: Path) -> str:
    """Why no file can be made in a folder, or the folder itself not; empty if all is well. Nothing is tried."""
    place = nearest_existing_path(path)
    if not place.is_dir():
        return f"{place} is no folder"
    return "" if os.access(place, os.W_OK | os.X_OK) else f"no right to write in {place}"


def free_bytes(path: Path) -> int:
    """Space that is left on the disk of a folder."""
    return shutil.disk_usage(nearest_existing_path(path)).free


def disk_id(path: Path) -> int:
    """Tell disks apart."""
    return nearest_existing_path(path).stat().st_dev
