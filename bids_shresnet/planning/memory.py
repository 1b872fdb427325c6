"""Estimates of the memory that a job needs.

They are rough and rather too large: a job that is killed costs more than one that waits.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from pathlib import Path

import nibabel as nib
import numpy as np

from bids_shresnet.diffusion.harmonics import choose_sh_order
from bids_shresnet.errors import BadInput
from bids_shresnet.io.images.nifti_header import read_grid
from bids_shresnet.pairs import Pair
from bids_shresnet.scans import Scan, Shell
from bids_shresnet.settings import TrainingConfig

LIBRARY_BYTES = 10**9  # a process with torch, ANTs and DIPY loaded
# Copies of a series in float32: as read, as harmonized; S/S0, coefficients and prediction
SCAN_COPIES = 5
SPOOLED_SCAN_COPIES = 2  # those of them that --low-mem keeps in files
LARGE_BRAIN_MM3 = 1.8e6  # a large brain with its surroundings
PATCHES_FILE = "patches.npy"  # of a prepared subject
PATCH_VOXELS = 27
BYTES_PER_NUMBER = 4
# Copies of the patches that are in memory: as read, as changed, without noise, and as features
PATCH_COPIES = 4


def memory_for_scans(scans: Iterable[Scan], *, is_spooled: bool) -> int:
    """Estimate the bytes for preparing or harmonizing the largest of some scans.

    Unreadable scans do not count. `is_spooled` is for series that are kept in files.
    """
    copies = SCAN_COPIES - SPOOLED_SCAN_COPIES * is_spooled
    values = max((prod(_read_shape(scan)) for scan in scans), default=0)
    return LIBRARY_BYTES + copies * BYTES_PER_NUMBER * values


def memory_for_fitting(folders: Iterable[Path], training: TrainingConfig) -> int:
    """Estimate the bytes for fitting or evaluating a harmonizer on prepared subjects.

    Training data stay on disk, but for the voxels of an epoch or of the calibration.
    """
    shapes = [np.load(folder / PATCHES_FILE, mmap_mode="r").shape for folder in folders]
    voxels = sum(shape[0] for shape in shapes)
    numbers = max(prod(shape[1:]) for shape in shapes)
    return _memory_for_patches(voxels, numbers, training)


def memory_for_pair(pair: Pair, training: TrainingConfig) -> int:
    """Estimate the bytes for fitting or evaluating a pair before its subjects are prepared."""
    _, target = pair.travelling_scans[0]
    voxels = int(len(pair.travelling_scans) * _brain_voxels(target))
    return _memory_for_patches(voxels, _numbers_per_patch(target), training)


def _memory_for_patches(voxels: int, numbers: int, training: TrainingConfig) -> int:
    in_memory = min(voxels, training.largest_draw or voxels)
    return LIBRARY_BYTES + PATCH_COPIES * BYTES_PER_NUMBER * numbers * in_memory


def work_bytes(pair: Pair) -> float:
    """Estimate the size of the training set of a pair: a patch and its label per voxel."""
    _, target = pair.travelling_scans[0]
    numbers = _numbers_per_patch(target) + 2 * target.direction_count
    return len(pair.travelling_scans) * BYTES_PER_NUMBER * numbers * _brain_voxels(target)


def _numbers_per_patch(target: Scan) -> int:
    coefficients = Shell(0.0, choose_sh_order(target.direction_count)).coefficient_count
    return PATCH_VOXELS * (coefficients + 1)


def _brain_voxels(target: Scan) -> float:
    """Estimate the voxels of a brain in a scan's grid; 0 if that cannot be read."""
    try:
        _, affine = read_grid(target.image)
    except BadInput:  # the job reports it, if it needs the image
        return 0.0
    return float(LARGE_BRAIN_MM3 / np.prod(nib.affines.voxel_sizes(affine)))


def voxel_count(scan: Scan) -> int:
    """Return the number of voxels of a scan's grid; 0 if it cannot be read."""
    return prod(_read_shape(scan)[:3])


def _read_shape(scan: Scan) -> tuple[int, ...]:
    try:
        return read_grid(scan.image)[0]
    except BadInput:  # the job reports it
        return (0,)
