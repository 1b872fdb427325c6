"""How much memory a job needs: rough, and rather too much, because a killed job costs more than a waiting one."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_shresnet.diffusion.harmonics import order_for
from bids_shresnet.errors import BadInput
from bids_shresnet.io.nifti_header import read_grid
from bids_shresnet.pairs import Pair
from bids_shresnet.scans import Scan, Shell

LIBRARIES = 10**9  # bytes of a process with torch, ANTs and DIPY loaded
COPIES = 5  # of a series, in float32: as read and as restored; S/S0, coefficients and prediction in the brain
SPOOLED = 2  # of these, in files if memory is to be saved
BRAIN_MM3 = 1.8e6  # a large brain, and what touches it
NEIGHBOURS = 27  # of a patch
NUMBER = 4  # bytes
ARRAYS = 3  # of what a training set is on disk: as read, as drawn for an epoch, as normal equations


def of_scans(scans: Iterable[Scan], *, low: bool) -> int:
    """Bytes that preparing or harmonizing the largest of these scans may take; unreadable ones do not count.

    `low` is for series that are not kept in memory.
    """
    copies = COPIES - SPOOLED * low
    return LIBRARIES + max((copies * NUMBER * _values(scan) for scan in scans), default=0)


def of_arrays(folders: Iterable[Path]) -> int:
    """Bytes that fitting or judging a harmonizer on these prepared subjects may take."""
    return LIBRARIES + ARRAYS * sum(file.stat().st_size for folder in folders for file in folder.iterdir())


def of_pair(pair: Pair) -> int:
    """The same before they are prepared."""
    return LIBRARIES + int(ARRAYS * work_bytes(pair))


def work_bytes(pair: Pair) -> float:
    """Estimate the size of what the travelling subjects of a pair teach: for each voxel a patch and its label."""
    _, target = pair.travelling[0]
    _, affine = read_grid(target.image)
    coefficients = Shell(0.0, order_for(target.directions)).coefficients
    numbers = NEIGHBOURS * (coefficients + 1) + 2 * target.directions
    return float(len(pair.travelling) * NUMBER * numbers * BRAIN_MM3 / np.prod(nib.affines.voxel_sizes(affine)))


def voxels_of(scan: Scan) -> int:
    """Voxels of its grid; none of an unreadable one."""
    return prod(_shape(scan)[:3])


def _values(scan: Scan) -> int:
    return prod(_shape(scan))


def _shape(scan: Scan) -> tuple[int, ...]:
    try:
        return read_grid(scan.image)[0]
    except BadInput:  # the job itself says what is wrong with it
        return (0,)
