"""Stamps: the JSON file that is written last for a scan, with size and digest of what it stamps.

A stamp is removed before any of its files is touched. So a run that was killed, in whatever way its
settings differ from those of the run before, never leaves an old stamp beside new files.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bids_shresnet.errors import BadInput
from bids_shresnet.io.storage import hash_file, hold_lock, read_json
from bids_shresnet.outputs.layout import ScanOutputs, sidecar_path
from bids_shresnet.outputs.sidecars import read_checksum
from bids_shresnet.runtime.leftovers import remove_leftovers
from bids_shresnet.version import __version__

OUTPUT_FILES_KEY = "OutputFiles"
VERSION_KEY = "AppVersion"
LOCKS_FOLDER = "logs/locks"  # of the output dataset

logger = logging.getLogger(__name__)


@contextmanager
def hold_scan_lock(outputs: ScanOutputs) -> Iterator[None]:
    """Let one job at a time write outputs of a scan: several targets share its mask and maps.

    What a job that was killed has left half-written is removed first.
    """
    with hold_lock(outputs.root / LOCKS_FOLDER / outputs.scan.name):
        figures = outputs.root / f"sub-{outputs.scan.subject}" / "figures"
        remove_leftovers(outputs.dwi().parent, figures)
        yield


def stamp_files(files: Iterable[Path], root: Path) -> dict[str, Any]:
    """Return the keys of a stamp: the version of the app, and size (bytes) and SHA-256 of files.

    Files are named by their path in the output dataset.
    """
    records = {
        file.relative_to(root).as_posix(): {"Size": file.stat().st_size, "SHA256": hash_file(file)}
        for file in files
    }
    return {VERSION_KEY: __version__, OUTPUT_FILES_KEY: records}


def read_stamp(path: Path) -> dict[str, Any]:
    """Read a stamp; empty if there is none, or if it is damaged."""
    if not path.is_file():
        return {}
    try:
        return dict(read_json(path))
    except (BadInput, TypeError, ValueError):
        logger.warning("%s is damaged", path)
        return {}


def is_current(path: Path, key: str, inputs_digest: str, *, root: Path) -> bool:
    """Return whether the files of a stamp are intact, and were made from these inputs.

    `key` is that of the record, in the stamp, which has the digest of the inputs.
    """
    stamp = read_stamp(path)
    is_same = stamp.get(key, {}).get("InputsDigest") == inputs_digest
    return is_same and is_intact(stamp, root)


def is_intact(stamp: Mapping[str, Any], root: Path) -> bool:
    """Return whether everything that a stamp lists is there unchanged; log what is not."""
    damaged = find_damaged_files(stamp, root)
    if damaged:
        names = ", ".join(Path(name).name for name in damaged)
        logger.warning("changed or missing since they were written: %s", names)
    return bool(stamp.get(OUTPUT_FILES_KEY)) and not damaged


def find_damaged_files(stamp: Mapping[str, Any], root: Path) -> list[str]:
    """Return the files of a stamp that are missing or changed, and images with another sidecar."""
    files: Mapping[str, Mapping[str, Any]] = stamp.get(OUTPUT_FILES_KEY, {})
    damaged = []
    for name, record in files.items():
        path = root / name
        if not _is_unchanged(path, record):
            damaged.append(name)
        elif name.endswith(".nii.gz") and read_checksum(sidecar_path(path)) != record["SHA256"]:
            damaged.append(sidecar_path(path).relative_to(root).as_posix())
    return damaged


def _is_unchanged(path: Path, record: Mapping[str, Any]) -> bool:
    if not path.is_file() or path.stat().st_size != record["Size"]:
        return False
    return bool(hash_file(path) == record["SHA256"])
