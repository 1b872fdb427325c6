"""Runs that are refused before any work, and leave nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.phantom_runs import digests, run_app


def run_refused(bids: Path, *arguments: str, out: Path | None = None) -> int:
    """Run the app, check that it leaves nothing, and return its exit code."""
    out = out or bids.parent / "out"
    code = run_app(bids, out, *arguments)
    assert not out.is_dir()
    return code


def test_memory_and_device_are_checked_before_work(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_refused(bids, "--device", "cuda:99") == 64
    assert "torch" in capsys.readouterr().err
    assert run_refused(bids, "--mem", "much") == 64


def test_all_errors_are_named_at_once(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bids / "sub-01/ses-ge/dwi/sub-01_ses-ge_dwi.bvec").unlink()
    bval = bids / "sub-02/ses-prisma/dwi/sub-02_ses-prisma_dwi.bval"
    bval.write_text(bval.read_text().rstrip() + " 1000\n")
    assert run_refused(bids) == 65
    log = capsys.readouterr().err
    assert "sub-01_ses-ge_dwi" in log
    assert "sub-02_ses-prisma_dwi.bval" in log


def test_a_dataset_without_a_pair_is_refused(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(bids / "sub-03/ses-prisma")
    assert run_refused(bids) == 65
    assert "no scanner shares 3 subjects" in capsys.readouterr().err


def test_an_unknown_participant_is_named(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_refused(bids, "--participant-label", "01", "99") == 66
    assert "--participant-label 99" in capsys.readouterr().err


def test_a_missing_dataset_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_refused(tmp_path / "nowhere") == 66
    assert str(tmp_path / "nowhere") in capsys.readouterr().err


def test_a_folder_without_models_is_named(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_refused(bids, "--models", str(bids)) == 66
    assert str(bids) in capsys.readouterr().err


def test_a_filter_that_leaves_no_scan_says_why(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_refused(bids, "--participant-label", "04", "--session-label", "prisma") == 18
    assert "not asked for (--session-label)" in capsys.readouterr().err


def test_an_output_below_a_file_cannot_be_created(
    bids: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run_refused(bids, out=tmp_path / "file" / "out") == 73
    assert str(tmp_path / "file") in capsys.readouterr().err


def test_the_dataset_is_no_output_folder(bids: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = digests(bids)
    assert run_app(bids, bids) == 64
    assert "is the dataset itself" in capsys.readouterr().err
    assert digests(bids) == before
