"""Dry runs of broken and odd datasets: the messages, and the exit code."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bids_shresnet.cli.app import main
from tests.datasets import GE, PRISMA, Series, write_tree
from tests.models import constant_model
from tests.zoo.case import (
    BAD_INPUT,
    GE_DWI,
    NOTHING_SELECTED,
    OK,
    Case,
    make_heads,
    make_image,
)
from tests.zoo.files import COMMAND_LINE_CASES, FILE_CASES
from tests.zoo.gradient_tables import GRADIENT_CASES, SHELL_CASES
from tests.zoo.images import HEADER_CASES, MASK_CASES, SIGNAL_CASES, signal_with
from tests.zoo.studies import SHELL_CHOICE_CASES

pytestmark = pytest.mark.slow

CASES = (
    *GRADIENT_CASES,
    *SHELL_CASES,
    *SHELL_CHOICE_CASES,
    *FILE_CASES,
    *HEADER_CASES,
    *SIGNAL_CASES,
    *MASK_CASES,
    *COMMAND_LINE_CASES,
)


def dry_run(case: Case, folder: Path) -> int:
    """Write the dataset, and return the exit code of a dry run."""
    root = write_tree(folder / "data", case.tree)
    flags = list(case.flags)
    if case.derivative is not None:
        flags += ["-d", f"masks={write_tree(folder / 'masks', case.derivative)}"]
    if case.damage:
        case.damage(root)
    command = [str(root), str(folder / "out"), "participant", "--dry-run", "--nprocs", "1"]
    return main([*command, *flags])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_output_names_what_is_wrong_and_the_exit_code_is_right(
    case: Case, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    exit_code = dry_run(case, tmp_path)
    output = "".join(capsys.readouterr())
    assert [message for message in case.messages if message not in output] == []
    assert exit_code == case.exit_code
    assert "Traceback" not in output
    assert not (tmp_path / "out").is_dir()


def test_errors_of_tables_files_and_values_are_listed_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = make_heads() | {
        "sub-04/ses-ge/dwi/sub-04_ses-ge_dwi": Series(sidecar=GE),
        "sub-04/ses-ge/dwi/sub-04_ses-ge_dwi.bval": "0 1000",
        "sub-05/ses-ge/dwi/sub-05_ses-ge_dwi": Series(sidecar=GE),
        "sub-05/ses-ge/dwi/sub-05_ses-ge_dwi.nii.gz": "",
        "sub-05/ses-siemens/dwi/sub-05_ses-siemens_dwi": Series(sidecar=PRISMA),
        f"{GE_DWI}.nii.gz": make_image(signal_with(0, (..., 0))),
    }
    case = Case(name="several errors", tree=tree, exit_code=BAD_INPUT, messages=())
    assert dry_run(case, tmp_path) == BAD_INPUT
    errors = [line for line in capsys.readouterr().err.splitlines() if "error: " in line]
    for message in ("7 b-vectors for 2 b-values", "file is empty", "hold no signal"):
        assert sum(message in line for line in errors) == 1


def test_little_space_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**8))
    case = Case(name="little space", tree=make_heads(), exit_code=OK, messages=())
    assert dry_run(case, tmp_path) == OK
    assert "GB will be written, and 0.1 GB are free" in capsys.readouterr().out


def test_a_dry_run_refuses_the_scans_that_a_model_would_not_take(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --models, and with the exit code of the run."""
    root = write_tree(tmp_path / "data", make_heads({0: 1, 2500: 6}))
    constant_model(tmp_path / "model", root, source="SIGNAEXCITE000000UOWMR1")
    command = [str(root), str(tmp_path / "out"), "participant", "--nprocs", "1"]
    flags = ["--models", str(tmp_path / "model"), "--dry-run"]
    assert main([*command, *flags]) == NOTHING_SELECTED
    assert "to harmonize" not in capsys.readouterr().out
    assert main([*command, *flags[:-1]]) == NOTHING_SELECTED
    assert "no shell at b = 1000 s/mm2" in capsys.readouterr().err


def test_a_dry_run_ends_as_the_run_does_where_a_validated_model_is_required(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_tree(tmp_path / "data", make_heads())
    constant_model(tmp_path / "model", root, source="SIGNAEXCITE000000UOWMR1")
    command = [str(root), str(tmp_path / "out"), "participant", "--dry-run", "--nprocs", "1"]
    model_flags = ["--models", str(tmp_path / "model")]
    assert main([*command, *model_flags]) == OK
    assert main([*command, *model_flags, "--require-validation"]) == BAD_INPUT
    assert "never cross-validated" in capsys.readouterr().err
