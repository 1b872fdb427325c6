from __future__ import annotations

from pathlib import Path

from bids_shresnet.planning.memory import LIBRARIES, of_arrays, of_scans
from tests.datasets import PRISMA, Series, write_tree
from tests.inventories import ONE, find


def test_a_scan_needs_memory_by_its_size_and_the_largest_counts(tmp_path: Path) -> None:
    shapes = {"01": (2, 2, 2), "02": (4, 4, 4)}
    tree = {ONE.replace("01", label): Series(sidecar=PRISMA, shape=shape) for label, shape in shapes.items()}
    small, large = find(write_tree(tmp_path / "data", tree)).scans
    series = 4 * 4**3 * 7  # bytes of the large one, float32
    needed = of_scans([large], low=False)
    assert needed - LIBRARIES == 8 * (of_scans([small], low=False) - LIBRARIES)
    assert of_scans([small, large], low=False) == needed
    assert needed - LIBRARIES >= series
    assert of_scans([large], low=True) == needed - 2 * series  # as read and as written


def test_a_training_set_needs_memory_by_what_is_on_disk(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "patches.npy").write_bytes(bytes(1000))
    one, both = of_arrays([tmp_path / "a"]), of_arrays([tmp_path / "a", tmp_path / "b"])
    assert both - LIBRARIES == 2 * (one - LIBRARIES) >= 2000
