from __future__ import annotations

from pathlib import Path

from bids_shresnet.steps.memory import LIBRARIES, of_arrays, of_scans
from tests.datasets import PRISMA, Series, write_tree
from tests.steps.inventories import ONE, find


def test_a_scan_needs_memory_by_its_size_and_the_largest_counts(tmp_path: Path) -> None:
    shapes = {"01": (2, 2, 2), "02": (4, 4, 4)}
    tree = {ONE.replace("01", label): Series(sidecar=PRISMA, shape=shape) for label, shape in shapes.items()}
    small, large = find(write_tree(tmp_path / "data", tree)).scans
    assert (of_scans([large]) - LIBRARIES) == 8 * (of_scans([small]) - LIBRARIES)
    assert of_scans([small, large]) == of_scans([large])
    assert of_scans([large]) - LIBRARIES >= 4 * 4**3 * 7  # a series of float32, at least


def test_a_training_set_needs_memory_by_what_is_on_disk(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / "patches.npy").write_bytes(bytes(1000))
    one, both = of_arrays([tmp_path / "a"]), of_arrays([tmp_path / "a", tmp_path / "b"])
    assert both - LIBRARIES == 2 * (one - LIBRARIES) >= 2000
