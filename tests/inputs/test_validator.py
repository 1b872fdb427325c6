from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from bids_shresnet.cli.app import main
from bids_shresnet.errors import UsageError
from bids_shresnet.inputs.validator import VALIDATOR_PROGRAM, run_bids_validator

INSTALLED = Path(sys.executable).with_name(VALIDATOR_PROGRAM).exists()
needs_validator = pytest.mark.skipif(not INSTALLED, reason=f"{VALIDATOR_PROGRAM} is not installed")


@pytest.fixture
def bids(phantom: Path, tmp_path: Path) -> Path:
    shutil.copytree(phantom / "bids", tmp_path / "bids")
    return tmp_path / "bids"


def look(bids: Path, *flags: str) -> int:
    return main([str(bids), str(bids.parent / "out"), "participant", "--dry-run", *flags])


@needs_validator
def test_a_valid_dataset_is_used(bids: Path) -> None:
    assert run_bids_validator(bids) == []
    assert look(bids, "--validate-bids") == 0


@needs_validator
def test_what_only_the_validator_objects_to_ends_with_its_code(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = bids / "sub-01/ses-ge/dwi/odd.txt"
    odd.write_text("odd")
    (finding,) = run_bids_validator(bids)
    assert finding.file == str(odd)
    assert finding.value.startswith("NOT_INCLUDED: ")
    assert look(bids) == 0
    assert look(bids, "--validate-bids") == 16
    assert f"error: {odd}: NOT_INCLUDED" in capsys.readouterr().err
    assert not (bids.parent / "out").exists()


@needs_validator
def test_what_the_app_cannot_use_is_named_with_it(
    bids: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (bids / "odd.txt").touch()
    (bids / "sub-01/ses-ge/dwi/sub-01_ses-ge_dwi.bval").write_text("0 1000\n")
    assert look(bids, "--validate-bids") == 65
    said = capsys.readouterr().err
    assert "b-values in" in said
    assert "odd.txt" in said


def test_a_validator_that_is_not_there_is_asked_for(
    bids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UsageError, match=f"pip install {VALIDATOR_PROGRAM}"):
        run_bids_validator(bids)
    assert look(bids, "--validate-bids", "--skip-bids-validation") == 64
    assert "contradict" in capsys.readouterr().err


def test_a_validator_that_breaks_is_no_result(
    bids: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / VALIDATOR_PROGRAM
    program.write_text("#!/bin/sh\necho no schema >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert look(bids, "--validate-bids") == 74
    assert "ended with 1 and without a result: no schema" in capsys.readouterr().err
