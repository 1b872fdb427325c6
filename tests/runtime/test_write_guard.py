from __future__ import annotations

from multiprocessing import get_context
from pathlib import Path

import pytest

from bids_shresnet.errors import OutputError
from bids_shresnet.io.storage import hold_lock, remove_file, write_text
from bids_shresnet.runtime.write_guard import check_may_write, restrict_writing


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the output folder; beside it lies a file of somebody else."""
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize(
    "name", ["../mine.txt", "a/../../mine.txt", "/etc/x", "../out2/x", "a/../x", "sub-/../../x"]
)
def test_nothing_is_written_locked_or_removed_outside(name: str, folder: Path) -> None:
    with restrict_writing([folder]):
        with pytest.raises(OutputError, match="refused to write"):
            write_text(folder / name, "theirs")
        with pytest.raises(OutputError, match="refused to write"):
            remove_file(folder / name)
        with pytest.raises(OutputError, match="refused to write"), hold_lock(folder / name):
            pass
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mine.txt", "out"]
    assert (folder.parent / "mine.txt").read_text() == "mine"


def test_all_is_written_inside(folder: Path) -> None:
    with restrict_writing([folder.parent / "work", folder]):
        write_text(folder / "a" / "..b.txt", "x")
        write_text(folder.parent / "work" / "c.txt", "x")
        remove_file(folder / "a" / "..b.txt")
    write_text(folder.parent / "d.txt", "after the run")


def test_worker_processes_have_the_same_limits(folder: Path) -> None:
    with restrict_writing([folder]), get_context("spawn").Pool(1) as pool:
        assert pool.apply(check_may_write, [folder / "x"]) is None
        with pytest.raises(OutputError):
            pool.apply(check_may_write, [folder.parent / "x"])
