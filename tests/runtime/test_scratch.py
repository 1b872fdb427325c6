from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bids_shresnet.runtime import scratch as module
from bids_shresnet.runtime.scratch import use_scratch_folder


@pytest.fixture(autouse=True)
def _usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A /tmp and a home that can be written, and nothing said."""
    for name in (*module.TEMP_VARIABLES, module.CACHE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    for name in ("tmp", "home"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(module, "SYSTEM_TEMP_FOLDERS", (str(tmp_path / "tmp"),))
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_usual_places_that_will_do_are_used_and_nothing_is_made(tmp_path: Path) -> None:
    with use_scratch_folder(tmp_path / "work"):
        assert tempfile.gettempdir() == str(tmp_path / "tmp")
        assert module.CACHE_VARIABLE not in os.environ
    assert not (tmp_path / "work").exists()


def test_a_place_that_is_named_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMP", str(tmp_path / "home"))
    with use_scratch_folder(tmp_path / "work"):
        assert tempfile.gettempdir() == str(tmp_path / "home")


@pytest.mark.parametrize("what", ["missing", "small"])
def test_temporary_files_of_this_process_and_its_children_go_to_the_work_folder(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if what == "missing":
        (tmp_path / "tmp").rmdir()
    else:
        monkeypatch.setattr(module, "MIN_FREE_BYTES", 2**60)
    monkeypatch.chdir(tmp_path)  # where Python would go instead
    with use_scratch_folder(tmp_path / "work"):
        child = [sys.executable, "-c", "import tempfile; print(tempfile.gettempdir())"]
        said = subprocess.run(child, capture_output=True, text=True, check=True).stdout.strip()
        assert said == tempfile.gettempdir()
        assert Path(said).parent == tmp_path / "work"
        (Path(said) / "left").touch()
    assert list((tmp_path / "work").iterdir()) == []
    assert "TMPDIR" not in os.environ


def test_without_a_home_caches_go_to_the_work_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    with use_scratch_folder(tmp_path / "work"):
        assert Path(os.environ[module.CACHE_VARIABLE]).parent == tmp_path / "work"
        assert tempfile.gettempdir() == str(tmp_path / "tmp")
    assert module.CACHE_VARIABLE not in os.environ
    monkeypatch.setenv(module.CACHE_VARIABLE, "/named")
    with use_scratch_folder(tmp_path / "other"):
        assert os.environ[module.CACHE_VARIABLE] == "/named"
    assert not (tmp_path / "other").exists()
