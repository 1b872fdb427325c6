from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bids_shresnet.runtime import scratch
from bids_shresnet.runtime.scratch import use_scratch_folder


@pytest.fixture(autouse=True)
def _usual_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a writable /tmp and home, and no variable that names another folder."""
    for name in (*scratch.TEMP_VARIABLES, scratch.CACHE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for name in ("tmp", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(scratch, "SYSTEM_TEMP_FOLDERS", (str(tmp_path / "tmp"),))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_usual_folders_are_used_if_they_are_writable_and_nothing_is_made(tmp_path: Path) -> None:
    with use_scratch_folder(tmp_path / "work"):
        assert tempfile.gettempdir() == str(tmp_path / "tmp")
        assert scratch.CACHE_VARIABLE not in os.environ
    assert not (tmp_path / "work").exists()


def test_a_folder_that_a_variable_names_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMP", str(tmp_path / "home"))
    with use_scratch_folder(tmp_path / "work"):
        assert tempfile.gettempdir() == str(tmp_path / "home")


@pytest.mark.parametrize("problem", ["missing", "small"])
def test_temporary_files_of_this_process_and_its_children_go_to_the_work_folder(
    problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if problem == "missing":
        (tmp_path / "tmp").rmdir()
    else:
        monkeypatch.setattr(scratch, "MIN_FREE_BYTES", 2**60)
    monkeypatch.chdir(tmp_path)  # where Python would go instead
    with use_scratch_folder(tmp_path / "work"):
        assert child_temp_folder() == tempfile.gettempdir()
        folder = Path(tempfile.gettempdir())
        assert folder.parent == tmp_path / "work"
        (folder / "file").touch()
    assert list((tmp_path / "work").iterdir()) == []
    assert "TMPDIR" not in os.environ


def child_temp_folder() -> str:
    command = [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_without_a_home_caches_go_to_the_work_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    with use_scratch_folder(tmp_path / "work"):
        assert Path(os.environ[scratch.CACHE_VARIABLE]).parent == tmp_path / "work"
        assert tempfile.gettempdir() == str(tmp_path / "tmp")
    assert scratch.CACHE_VARIABLE not in os.environ
    monkeypatch.setenv(scratch.CACHE_VARIABLE, "/named")
    with use_scratch_folder(tmp_path / "other"):
        assert os.environ[scratch.CACHE_VARIABLE] == "/named"
    assert not (tmp_path / "other").exists()
