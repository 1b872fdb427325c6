from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from bids_shresnet.cli.app import main
from bids_shresnet.errors import UsageError
from bids_shresnet.inputs.validator import VALIDATOR_PROGRAM, run_bids_validator

IS_INSTALLED = Path(sys.executable).with_name(VALIDATOR_PROGRAM).exists()
needs_validator = pytest.mark.skipif(
    not IS_INSTALLED, reason=f"{VALIDATOR_PROGRAM} is not installed"
)


@pytest.fixture
def bids(phantom: Path, tmp_path: Path) -> Path:
    shutil.copytree(phantom / "bids", tmp_path / "bids")
    return tmp_path / "bids"


def dry_run(bids: Path, *flags: str) -> int:
    return main([str(bids), str(bids.parent / "out"), "participant", "--dry-run", *flags])


@needs_validator
def test_a_valid_dataset_is_used(bids: Path) -> None:
    assert run_bids_validator(bids) == []
    assert dry_run(bids, "--validate-bids") == 0


@needs_validator
def test_errors_of_the_validator_alone_end_with_its_exit_code(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd_file = bids / "sub-01/ses-ge/dwi/odd.txt"
    odd_file.write_text("odd")
    (finding,) = run_bids_validator(bids)
    assert finding.file == str(odd_file)
    assert finding.value.startswith("NOT_INCLUDED: ")
    assert dry_run(bids) == 0
    assert dry_run(bids, "--validate-bids") == 16
    assert f"error: {odd_file}: NOT_INCLUDED" in capsys.readouterr().out
    assert not (bids.parent / "out").exists()


@needs_validator
def test_errors_of_the_app_are_listed_with_those_of_the_validator(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bids / "odd.txt").touch()
    (bids / "sub-01/ses-ge/dwi/sub-01_ses-ge_dwi.bval").write_text("0 1000\n")
    assert dry_run(bids, "--validate-bids") == 65
    messages = capsys.readouterr().out
    assert "b-values in" in messages
    assert "odd.txt" in messages


def test_a_missing_validator_is_a_usage_error_with_its_package(
    bids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UsageError, match=f"pip install {VALIDATOR_PROGRAM}"):
        run_bids_validator(bids)
    assert dry_run(bids, "--validate-bids", "--skip-bids-validation") == 64
    assert "contradict" in capsys.readouterr().err


def test_a_validator_that_crashes_gives_no_result(
    bids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / VALIDATOR_PROGRAM
    program.write_text("#!/bin/sh\necho no schema >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert dry_run(bids, "--validate-bids") == 74
    assert "ended with 1 and without a result: no schema" in capsys.readouterr().err
