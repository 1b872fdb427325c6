"""The counts of scripts/reliability see what they count."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from scripts.reliability import sandbox as sandbox_module
from scripts.reliability.__main__ import EXPERIMENTS, load_experiment
from scripts.reliability.counts import FAILURES, Counts
from scripts.reliability.fuzzing import run_tests
from scripts.reliability.interruptions import check_screen
from scripts.reliability.sandbox import (
    UNCAUGHT,
    Sandbox,
    age_files,
    count_leftovers,
    find_broken,
    read_results,
    wait_for,
)

# Python 3.12 warns of forks of a process with threads; these forks need none of them
FORKS = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
FUZZ_TEST = """
from hypothesis import given, strategies as st
from tests.fuzz.strategies import fuzz_settings, limits


def test_numbers():
    @fuzz_settings(1)
    @given(st.integers(0, 10**9))
    def check(number):
        with limits():
            assert number >= {smallest}

    check()
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    for name in ("bids", "home", "cwd"):
        (tmp_path / name).mkdir()
    (tmp_path / "bids/sub-01.json").write_text("{}")
    return Sandbox(tmp_path)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """An output with one file of many kinds, all of them whole."""
    folder = tmp_path / "out/derivatives/shresnet/sub-01"
    folder.mkdir(parents=True)
    nib.save(nib.Nifti1Image(np.ones((4, 4, 4), np.float32), np.eye(4)), folder / "a.nii.gz")
    Image.new("RGB", (8, 8)).save(folder / "a.png")
    (folder / "a.json").write_text('{"key": [1, 2]}')
    (folder / "a.svg").write_text("<svg></svg>")
    (folder / "a.bval").write_text("0 1000")
    (folder / ".half.json").write_text("{")
    return tmp_path / "out"


@pytest.mark.parametrize("name", ["a.nii.gz", "a.png", "a.json", "a.svg"])
def test_half_a_file_is_broken_and_whole_or_hidden_ones_are_not(name: str, out: Path) -> None:
    assert find_broken(out) == []
    path = out / "derivatives/shresnet/sub-01" / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (found,) = find_broken(out)
    assert name in found
    counts = Counts()
    counts.check_files(out)
    assert (counts.failures["losses"], counts.is_clean) == (1, False)


def test_results_that_are_missing_or_others_are_losses(out: Path) -> None:
    expected = read_results(out)
    assert len(expected) == 5
    counts = Counts()
    counts.check_results(out, expected)
    assert counts.is_clean
    (out / "derivatives/shresnet/sub-01/a.bval").write_text("0 2000")
    (out / "derivatives/shresnet/sub-01/a.json").unlink()
    counts.check_results(out, expected)
    assert counts.failures["losses"] == 2


@pytest.mark.parametrize("name", ["bids/sub-01.json", "home/new", "cwd/new"])
def test_a_write_outside_the_output_is_counted(name: str, sandbox: Sandbox, out: Path) -> None:
    counts = Counts()
    before = sandbox.snapshot()
    (out / "new").write_text("x")
    counts.check_outside(sandbox, before)
    assert counts.is_clean
    (sandbox.folder / name).write_text("changed")
    counts.check_outside(sandbox, before)
    assert counts.failures["writes outside"]


@pytest.mark.parametrize(
    ("code", "failure"), [(0, ""), (65, "losses"), (UNCAUGHT, "tracebacks"), (None, "hangs")]
)
def test_an_exit_code_that_is_not_allowed_is_counted_as_what_it_is(
    code: int | None, failure: str
) -> None:
    counts = Counts(trials=3)
    counts.check_code(code, (0, 75), "a run")
    assert dict(counts.failures) == ({failure: 1} if failure else {})
    assert str(counts).startswith("3 trials, ")
    assert all(f"{int(name == failure)} {name}" in str(counts) for name in FAILURES)


@FORKS
def test_a_run_ends_with_its_code_or_as_uncaught_and_its_screen_is_kept(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sandbox_module, "main", len)
    assert sandbox.run(["a", "b"]) == 2

    def fail(_: list[str]) -> int:
        msg = "this is odd"
        raise ValueError(msg)

    monkeypatch.setattr(sandbox_module, "main", fail)
    with capfd.disabled():  # what a process prints goes to its log, and not to pytest
        assert sandbox.run([]) == UNCAUGHT
    assert "ValueError: this is odd" in sandbox.log.read_text()


@FORKS
def test_what_does_not_end_is_killed(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_module, "main", lambda _: time.sleep(300))
    child = sandbox.start([])
    assert wait_for(child, seconds=0.2) is None
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_leftovers_are_counted_and_aged(out: Path) -> None:
    assert count_leftovers(out) == 0
    left = out / "derivatives/shresnet/.0123456789ab.scan.nii.gz"
    left.write_text("half")
    age_files(out)
    assert count_leftovers(out) == 1
    assert time.time() - left.stat().st_mtime > 60


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("app: stopped by SIGTERM; run the same command again", ""),
        ("Traceback (most recent call last):", "tracebacks"),
        ("", "losses"),
        ("stopped by SIGTERM\nstopped by SIGTERM", "losses"),
    ],
)
def test_a_stopped_run_says_so_once(text: str, failure: str) -> None:
    counts = Counts()
    check_screen(text, signal.SIGTERM, counts)
    assert dict(counts.failures) == ({failure: 1} if failure else {})


@pytest.mark.slow
@pytest.mark.parametrize(("smallest", "failures"), [(0, 0), (10, 1)])
def test_examples_and_failed_tests_are_counted(
    smallest: int, failures: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "test_numbers.py"
    file.write_text(FUZZ_TEST.format(smallest=smallest))
    counts = run_tests(str(file), 50)
    assert counts.failures.total() == counts.failures["tracebacks"] == failures
    assert (counts.trials == 50) == (not failures)
    assert ("number=0" in capfd.readouterr().err) == bool(failures)  # the smallest example


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_can_be_loaded(name: str) -> None:
    experiment: Callable[..., object] = load_experiment(name)
    assert experiment.__doc__
