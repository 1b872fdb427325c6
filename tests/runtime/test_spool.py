from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from bids_shresnet.runtime import spool
from bids_shresnet.runtime.scratch import use_scratch_folder

IN_A_CHILD = """
from bids_shresnet.runtime import spool
print(type(spool.allocate_array((2, 3))).__name__)
"""


def test_arrays_are_in_memory_unless_they_are_spooled(tmp_path: Path) -> None:
    with use_scratch_folder(tmp_path / "work"):
        found = spool.allocate_array((2, 3))
    assert type(found) is np.ndarray
    assert (found.shape, found.dtype) == ((2, 3), np.float32)


def test_spooled_arrays_are_files_of_the_work_folder_that_outlive_their_names(
    tmp_path: Path,
) -> None:
    with use_scratch_folder(tmp_path / "work", should_spool=True):
        found = spool.allocate_array((2, 3))
        found[:] = [[1, 2, 3], [4, 5, 6]]
        assert isinstance(found, np.memmap)
        assert str(tmp_path / "work") in Path("/proc/self/maps").read_text()
        child = subprocess.run(
            [sys.executable, "-c", IN_A_CHILD], capture_output=True, text=True, check=True
        )
        assert child.stdout.strip() == "memmap"
        assert [path for path in (tmp_path / "work").rglob("*") if path.is_file()] == []
    assert list((tmp_path / "work").iterdir()) == []
    np.testing.assert_array_equal(found, [[1, 2, 3], [4, 5, 6]])
    assert found.flags.c_contiguous
    assert "BIDS_SHRESNET_SPOOL" not in os.environ


def test_an_array_of_nothing_needs_no_file(tmp_path: Path) -> None:
    with use_scratch_folder(tmp_path / "work", should_spool=True):
        assert spool.allocate_array((2, 0)).size == 0
