from __future__ import annotations

from pathlib import Path

from bids_shresnet.planning.memory import LIBRARY_BYTES, memory_for_fitting, memory_for_scans
from tests.datasets import PRISMA, Series, write_tree
from tests.inventories import find_inventory

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


def test_a_training_set_needs_memory_by_its_size_on_disk(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
        (folder / "patches.npy").write_bytes(bytes(1000))
    memory_of_one = memory_for_fitting(folders[:1]) - LIBRARY_BYTES
    memory_of_two = memory_for_fitting(folders) - LIBRARY_BYTES
    assert memory_of_two == 2 * memory_of_one >= 2000
