"""How much memory a job needs: rough, and rather too much, because a killed job costs more than a waiting one."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path

from bids_shresnet.errors import BadInput
from bids_shresnet.files.series import read_grid
from bids_shresnet.scans import Scan

LIBRARIES = 10**9  # bytes of a process with torch, ANTs and DIPY loaded
COPIES = 6  # of a series, in float32: as read, S/S0, coefficients, signal as predicted and restored
ARRAYS = 3  # of what a training set is on disk: as read, as drawn for an epoch, as normal equations


def of_scans(scans: Iterable[Scan]) -> int:
    """Bytes that preparing or harmonizing the largest of these scans may take; unreadable ones do not count."""
    return LIBRARIES + max((COPIES * 4 * _values(scan) for scan in scans), default=0)


def of_arrays(folders: Iterable[Path]) -> int:
    """Bytes that fitting or judging a harmonizer on these prepared subjects may take."""
    return LIBRARIES + ARRAYS * sum(file.stat().st_size for folder in folders for file in folder.iterdir())


def _values(scan: Scan) -> int:
    try:
        return prod(read_grid(scan.image)[0])
    except BadInput:  # the job itself says what is wrong with it
        return 0
