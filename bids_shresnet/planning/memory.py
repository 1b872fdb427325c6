"""How much memory a job needs: rough, and rather too much, because a killed job costs more than a waiting one."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_shresnet.diffusion.harmonics import choose_sh_order
from bids_shresnet.errors import BadInput
from bids_shresnet.io.nifti_header import read_grid
from bids_shresnet.pairs import Pair
from bids_shresnet.scans import Scan, Shell

LIBRARY_BYTES = 10**9  # bytes of a process with torch, ANTs and DIPY loaded
SCAN_COPIES = 5  # of a series, in float32: as read and as restored; S/S0, coefficients and prediction in the brain
SPOOLED_SCAN_COPIES = 2  # of these, in files if memory is to be saved
LARGE_BRAIN_MM3 = 1.8e6  # a large brain, and what touches it
PATCH_VOXELS = 27  # of a patch
BYTES_PER_NUMBER = 4  # bytes
TRAINING_SET_COPIES = (
    3  # of what a training set is on disk: as read, as drawn for an epoch, as normal equations
)


def memory_for_scans(scans: Iterable[Scan], *, is_spooled: bool) -> int:
    """Bytes that preparing or harmonizing the largest of these scans may take; unreadable ones do not count.

    `low` is for series that are not kept in memory.
    """
    copies = SCAN_COPIES - SPOOLED_SCAN_COPIES * is_spooled
    return LIBRARY_BYTES + max(
        (copies * BYTES_PER_NUMBER * _value_count(scan) for scan in scans), default=0
    )


def memory_for_fitting(folders: Iterable[Path]) -> int:
    """Bytes that fitting or evaluating a harmonizer on these prepared subjects may take."""
    return LIBRARY_BYTES + TRAINING_SET_COPIES * sum(
        file.stat().st_size for folder in folders for file in folder.iterdir()
    )


def memory_for_pair(pair: Pair) -> int:
    """The same before they are prepared."""
    return LIBRARY_BYTES + int(TRAINING_SET_COPIES * work_bytes(pair))


def work_bytes(pair: Pair) -> float:
    """Estimate the size of the training data of a pair: for each voxel a patch and its label."""
    _, target = pair.travelling_scans[0]
    _, affine = read_grid(target.image)
    coefficients = Shell(0.0, choose_sh_order(target.direction_count)).coefficient_count
    numbers = PATCH_VOXELS * (coefficients + 1) + 2 * target.direction_count
    return float(
        len(pair.travelling_scans)
        * BYTES_PER_NUMBER
        * numbers
        * LARGE_BRAIN_MM3
        / np.prod(nib.affines.voxel_sizes(affine))
    )


def voxel_count(scan: Scan) -> int:
    """Voxels of its grid; none of an unreadable one."""
    return prod(_read_shape(scan)[:3])


def _value_count(scan: Scan) -> int:
    return prod(_read_shape(scan))


def _read_shape(scan: Scan) -> tuple[int, ...]:
    try:
        return read_grid(scan.image)[0]
    except BadInput:  # the job itself says what is wrong with it
        return (0,)
