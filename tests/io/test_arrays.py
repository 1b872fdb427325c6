from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.io.arrays import open_arrays, read_array_record, write_arrays

ARRAYS: dict[str, np.ndarray] = {
    "patches": np.arange(24, dtype=np.float16).reshape(2, 3, 4),
    "tissue": np.array([1, 2], dtype=np.uint8),
}


def test_arrays_and_their_record_come_back(tmp_path: Path) -> None:
    write_arrays(tmp_path, ARRAYS, {"inputs": "abc"})
    opened = open_arrays(tmp_path)
    assert opened.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(opened[name], array, strict=True)
    assert read_array_record(tmp_path) == {"inputs": "abc"}


def test_earlier_arrays_are_removed(tmp_path: Path) -> None:
    write_arrays(tmp_path, ARRAYS, {"inputs": "abc"})
    write_arrays(tmp_path, {"tissue": np.array([3])}, {"inputs": "def"})
    assert open_arrays(tmp_path).keys() == {"tissue"}


def test_opened_arrays_stay_on_disk_and_cannot_be_written(tmp_path: Path) -> None:
    write_arrays(tmp_path, ARRAYS, {})
    opened = open_arrays(tmp_path)["patches"]
    assert isinstance(opened, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        opened[0] = 1


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "written before"])
@pytest.mark.parametrize("count", [0, 1])
def test_a_folder_is_unfinished_until_all_arrays_are_written(
    count: int, is_there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full after some arrays; those from before are of no use any more."""
    if is_there:
        write_arrays(tmp_path, ARRAYS, {"inputs": "abc"})
    save = np.save
    saved: list[Path] = []

    def save_some(path: Path, array: np.ndarray) -> None:
        if len(saved) == count:
            raise OSError(errno.ENOSPC, "disk full")
        saved.append(path)
        save(path, array)

    monkeypatch.setattr(np, "save", save_some)
    with pytest.raises(OSError, match="disk full"):
        write_arrays(tmp_path, ARRAYS, {"inputs": "def"})
    assert read_array_record(tmp_path) is None
