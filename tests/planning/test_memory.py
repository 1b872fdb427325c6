from __future__ import annotations

from pathlib import Path

from bids_shresnet.planning.memory import LIBRARY_BYTES, memory_for_fitting, memory_for_scans
from tests.datasets import PRISMA, Series, write_tree
from tests.inventories import ONE, find


def test_a_scan_needs_memory_by_its_size_and_the_largest_counts(tmp_path: Path) -> None:
    shapes = {"01": (2, 2, 2), "02": (4, 4, 4)}
    tree = {
        ONE.replace("01", label): Series(sidecar=PRISMA, shape=shape)
        for label, shape in shapes.items()
    }
    small, large = find(write_tree(tmp_path / "data", tree)).scans
    series = 4 * 4**3 * 7  # bytes of the large one, float32
    needed = memory_for_scans([large], is_spooled=False)
    assert needed - LIBRARY_BYTES == 8 * (
        memory_for_scans([small], is_spooled=False) - LIBRARY_BYTES
    )
    assert memory_for_scans([small, large], is_spooled=False) == needed
    assert needed - LIBRARY_BYTES >= series
    assert (
        memory_for_scans([large], is_spooled=True) == needed - 2 * series
    )  # as read and as written


def test_a_training_set_needs_memory_by_what_is_on_disk(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "patches.npy").write_bytes(bytes(1000))
    one, both = (
        memory_for_fitting([tmp_path / "a"]),
        memory_for_fitting([tmp_path / "a", tmp_path / "b"]),
    )
    assert both - LIBRARY_BYTES == 2 * (one - LIBRARY_BYTES) >= 2000
