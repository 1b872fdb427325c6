from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bids_shresnet.io.storage import atomic_path
from bids_shresnet.runtime import leftovers
from bids_shresnet.runtime.leftovers import remove_leftovers
from bids_shresnet.runtime.scratch import use_scratch_folder

WRITER = """
import sys, time
from pathlib import Path
from bids_shresnet.io.storage import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("half", flush=True)
    time.sleep(300)
"""
SCRATCH = """
import sys, time
from pathlib import Path
from bids_shresnet.runtime.scratch import use_scratch_folder
with use_scratch_folder(Path(sys.argv[1]), should_spool=True):
    print("half", flush=True)
    time.sleep(300)
"""


@contextmanager
def start(code: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that writes, wait until it has begun, and kill it at the end."""
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        try:
            yield process
        finally:
            process.kill()


def make_old(folder: Path) -> list[Path]:
    """Make all files of a folder old; return its content."""
    for path in folder.rglob("*"):
        os.utime(path, times=(0, time.time() - 2 * leftovers.MIN_AGE_SECONDS))
    return sorted(folder.iterdir())


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_stays(
    tmp_path: Path,
) -> None:
    with start(WRITER, tmp_path / "dead.nii.gz") as dead:
        dead.kill()
    with start(WRITER, tmp_path / "alive.nii.gz") as alive:
        assert len(make_old(tmp_path)) == 2
        remove_leftovers(tmp_path, tmp_path / "missing")
        (path,) = tmp_path.iterdir()
        assert path.name.endswith(".alive.nii.gz")
        alive.kill()


def test_a_file_of_this_minute_and_all_other_files_stay(tmp_path: Path) -> None:
    with start(WRITER, tmp_path / "new.tsv") as dead:
        dead.kill()
    for name in (".bidsignore", ".a.lock", "0123456789ab.tsv", ".0123456789ab"):
        (tmp_path / name).write_text("x")
    new = {path for path in tmp_path.iterdir() if path.name.endswith(".new.tsv")}
    make_old(tmp_path)
    for path in new:
        os.utime(path)
    before = sorted(tmp_path.iterdir())
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_nothing_is_removed_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: int, __: int) -> None:
        raise OSError(95, "not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with atomic_path(tmp_path / "whole.txt") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "whole.txt").read_text() == "whole"
    (tmp_path / ".0123456789ab.half.txt").write_text("half")
    before = make_old(tmp_path)
    remove_leftovers(tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_scratch_folders_of_killed_runs_are_removed_by_the_next(tmp_path: Path) -> None:
    with start(SCRATCH, tmp_path) as dead:
        dead.kill()
    with start(SCRATCH, tmp_path) as alive:
        assert len(make_old(tmp_path)) == 2
        with use_scratch_folder(tmp_path, should_spool=True):
            assert len(list(tmp_path.iterdir())) == 2
        assert len(list(tmp_path.iterdir())) == 1
        alive.kill()
    tempfile.tempdir = None
