from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from bids_shresnet.runtime import spool
from bids_shresnet.runtime.scratch import IN_USE_FILE, use_scratch_folder

CHILD = """
from bids_shresnet.runtime import spool
print(type(spool.allocate_array((2, 3))).__name__)
"""


def test_arrays_are_in_memory_unless_they_are_spooled(tmp_path: Path) -> None:
    with use_scratch_folder(tmp_path / "work"):
        array = spool.allocate_array((2, 3))
    assert type(array) is np.ndarray
    assert array.shape == (2, 3)
    assert array.dtype == np.float32


def test_spooled_arrays_are_unnamed_files_in_the_work_folder_that_outlive_it(
    tmp_path: Path,
) -> None:
    with use_scratch_folder(tmp_path / "work", should_spool=True):
        array = spool.allocate_array((2, 3))
        array[:] = [[1, 2, 3], [4, 5, 6]]
        assert isinstance(array, np.memmap)
        assert str(tmp_path / "work") in Path("/proc/self/maps").read_text()
        child = subprocess.run(
            [sys.executable, "-c", CHILD], capture_output=True, text=True, check=True
        )
        assert child.stdout.strip() == "memmap"
        files = [path.name for path in (tmp_path / "work").rglob("*") if path.is_file()]
        assert files == [IN_USE_FILE]
    assert list((tmp_path / "work").iterdir()) == []
    np.testing.assert_array_equal(array, [[1, 2, 3], [4, 5, 6]])
    assert array.flags.c_contiguous
    assert "BIDS_SHRESNET_SPOOL" not in os.environ


def test_an_empty_array_needs_no_file(tmp_path: Path) -> None:
    with use_scratch_folder(tmp_path / "work", should_spool=True):
        assert spool.allocate_array((2, 0)).size == 0
