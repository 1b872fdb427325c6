from __future__ import annotations

from pathlib import Path

import numpy as np

from bids_shresnet.config import ScannerSettings
from bids_shresnet.planning.memory import (
    LIBRARY_BYTES,
    PATCHES_FILE,
    memory_for_fitting,
    memory_for_pair,
    memory_for_scans,
    work_bytes,
)
from bids_shresnet.planning.pairing import form_pairs
from bids_shresnet.settings import CALIBRATION_VOXELS, TrainingConfig
from tests.datasets import PRISMA, Series, write_tree
from tests.inventories import find_inventory, write_heads

FLOAT32_BYTES = 4


def test_a_scan_needs_memory_by_its_size_and_the_largest_counts(tmp_path: Path) -> None:
    tree = {
        "sub-01/dwi/sub-01_dwi": Series(sidecar=PRISMA, shape=(2, 2, 2)),
        "sub-02/dwi/sub-02_dwi": Series(sidecar=PRISMA, shape=(4, 4, 4)),
    }
    small, large = find_inventory(write_tree(tmp_path / "data", tree)).scans
    series_bytes = FLOAT32_BYTES * 4**3 * 7
    memory = memory_for_scans([large], is_spooled=False)
    small_memory = memory_for_scans([small], is_spooled=False)
    assert memory - LIBRARY_BYTES == 8 * (small_memory - LIBRARY_BYTES)
    assert memory_for_scans([small, large], is_spooled=False) == memory
    assert memory - LIBRARY_BYTES >= series_bytes
    spooled_memory = memory_for_scans([large], is_spooled=True)
    assert spooled_memory == memory - 2 * series_bytes  # as read and as written


def test_a_target_whose_grid_cannot_be_read_needs_no_room(tmp_path: Path) -> None:
    inventory = find_inventory(write_heads(tmp_path / "data", ["01", "02", "03"]))
    (pair,) = form_pairs(inventory, ScannerSettings(target="Prisma")).pairs
    assert work_bytes(pair) > 0
    _, target = pair.travelling_scans[0]
    target.image.unlink()
    assert work_bytes(pair) == 0
    assert memory_for_pair(pair, TrainingConfig()) == LIBRARY_BYTES


def prepare(folder: Path, voxels: int) -> Path:
    folder.mkdir()
    np.save(folder / PATCHES_FILE, np.zeros((voxels, 27, 2), np.float16))
    return folder


def test_a_small_training_set_needs_memory_by_its_size(tmp_path: Path) -> None:
    folders = [prepare(tmp_path / name, 100) for name in "ab"]
    one, two = (
        memory_for_fitting(part, TrainingConfig()) - LIBRARY_BYTES
        for part in (folders[:1], folders)
    )
    assert two == 2 * one
    assert one >= FLOAT32_BYTES * 100 * 27 * 2


def test_a_large_training_set_needs_memory_for_what_is_drawn_of_it(tmp_path: Path) -> None:
    folders = [prepare(tmp_path / name, CALIBRATION_VOXELS) for name in "ab"]
    drawn, all_voxels = TrainingConfig(), TrainingConfig(voxels_per_epoch=0)
    of_one = memory_for_fitting(folders[:1], drawn)
    assert memory_for_fitting(folders, drawn) == of_one
    assert memory_for_fitting(folders, all_voxels) - LIBRARY_BYTES == 2 * (of_one - LIBRARY_BYTES)
    larger = TrainingConfig(voxels_per_epoch=CALIBRATION_VOXELS + 1)
    assert memory_for_fitting(folders, larger) > of_one
