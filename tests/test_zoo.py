"""Dry runs of broken and odd datasets: the messages, and the exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bids_shresnet.cli.app import main
from tests.datasets import GE, PRISMA, Series, write_tree
from tests.models import constant_model
from tests.zoo.case import (
    BAD_INPUT,
    GE_DWI,
    INPUT_MISSING,
    NO_OUTPUT,
    NOTHING_SELECTED,
    OK,
    USAGE,
    Case,
    make_heads,
    make_image,
)
from tests.zoo.files import COMMAND_LINE_CASES, FILE_CASES
from tests.zoo.gradient_tables import GRADIENT_CASES, SHELL_CASES
from tests.zoo.images import HEADER_CASES, MASK_CASES, SIGNAL_CASES, signal_with
from tests.zoo.studies import SHELL_CHOICE_CASES, make_study
from tests.zoo.unused import ENCODING_CASES, PATTERN_CASES, UNUSED_CASES

pytestmark = pytest.mark.slow

CASES = (
    *GRADIENT_CASES,
    *SHELL_CASES,
    *SHELL_CHOICE_CASES,
    *UNUSED_CASES,
    *ENCODING_CASES,
    *PATTERN_CASES,
    *FILE_CASES,
    *HEADER_CASES,
    *SIGNAL_CASES,
    *MASK_CASES,
    *COMMAND_LINE_CASES,
)


def dry_run(case: Case, folder: Path) -> int:
    """Write the dataset, and return the exit code of a dry run."""
    root = write_tree(folder / "data", case.tree)
    flags = [flag.replace("{root}", str(root)) for flag in case.flags]
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
    output = capsys.readouterr()
    assert "error: " not in output.err
    errors = [line for line in output.out.splitlines() if "error: " in line]
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
    lines = capsys.readouterr().out.splitlines()
    assert not any(line.endswith("to harmonize") for line in lines)
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


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 400 scans, of which 140 are links to content that was not fetched."""
    return write_tree(tmp_path_factory.mktemp("study") / "data", make_study(200, 70))


def test_a_large_study_fits_on_a_terminal(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(study), str(tmp_path / "out"), "participant", "--dry-run", "--nprocs", "1"]
    assert main(command) == BAD_INPUT
    output = capsys.readouterr()
    lines = (output.out + output.err).splitlines()
    assert len(lines) < 60
    (error,) = [line for line in lines if line.startswith("error: ")]
    assert "140 files, such as" in error
    assert "datalad get" in error
    assert "sub-0199" not in output.err


def test_every_file_of_a_large_study_is_in_its_tables(
    study: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [str(study), str(tmp_path / "out"), "group", "--dry-run", "--nprocs", "1"]
    missing = {str(path) for path in study.rglob("*.nii.gz") if path.is_symlink()}
    assert main([*command, "--json"]) == BAD_INPUT
    document = json.loads(capsys.readouterr().out)
    assert len(document["scans"]) == 400
    (error,) = [group for group in document["findings"] if group["severity"] == "error"]
    assert set(error["files"]) == missing
    assert main([*command, "-v"]) == BAD_INPUT
    assert missing <= {line.strip() for line in capsys.readouterr().out.splitlines()}


def test_content_that_no_step_reads_is_not_demanded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the group level, a further scan of the target is not read."""
    tree = make_heads() | {"sub-09/ses-siemens/dwi/sub-09_ses-siemens_dwi": Series(sidecar=PRISMA)}
    tree["sub-09/ses-siemens/dwi/sub-09_ses-siemens_dwi.nii.gz"] = None
    root = write_tree(tmp_path / "data", tree)
    flags = ["--target", "Prisma", "--dry-run", "--nprocs", "1"]
    assert main([str(root), str(tmp_path / "out"), "group", *flags]) == OK
    assert "Nothing reads it" in capsys.readouterr().out
    assert main([str(root), str(tmp_path / "out"), "participant", *flags]) == BAD_INPUT


@pytest.mark.parametrize(
    ("flags", "exit_code"),
    [
        (("--target", "Trio"), INPUT_MISSING),
        (("--device", "abacus"), USAGE),
        (("--nprocs", "all"), USAGE),
        (("--method", "magic"), USAGE),
        (("--participant-label", "09"), NOTHING_SELECTED),
        (("--work-dir", "{root}/../file"), NO_OUTPUT),
        ((), OK),
    ],
)
def test_a_program_gets_one_document_whatever_is_wrong(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flags: tuple[str, ...],
    exit_code: int,
) -> None:
    tree = make_heads() | {"sub-09/ses-ge/dwi/sub-09_ses-ge_dwi": Series({0: 1, 3000: 6}, GE)}
    root = write_tree(tmp_path / "data", tree)
    (tmp_path / "file").write_text("")
    command = [str(root), str(tmp_path / "out"), "participant", "--dry-run", "--json"]
    words = [flag.format(root=root) for flag in flags]
    assert main([*command, "--nprocs", "1", "--target", "Prisma", *words]) == exit_code
    document = json.loads(capsys.readouterr().out)
    severities = [finding["severity"] for finding in document["findings"]]
    assert ("error" in severities) == (exit_code != OK)


def test_a_folder_that_is_no_dataset_gives_a_document_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A subject's folder, as users of other programs give it."""
    folder = write_tree(tmp_path / "data", make_heads()) / "sub-01"
    command = [str(folder), str(tmp_path / "out"), "participant", "--dry-run", "--json"]
    assert main([*command, "--nprocs", "1"]) == INPUT_MISSING
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert "it has only ses-ge, ses-siemens" in finding["value"]


def test_a_folder_that_cannot_be_written_is_found_before_images_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_tree(tmp_path / "data", make_heads())
    (tmp_path / "out").write_text("")
    command = [str(root), str(tmp_path / "out"), "participant", "--dry-run", "--json"]
    assert main([*command, "--nprocs", "1"]) == NO_OUTPUT
    output = capsys.readouterr()
    (error,) = json.loads(output.out)["findings"]
    assert "out is no folder" in error["value"]
    assert "before any work" not in output.err
    (tmp_path / "out").unlink()
    assert main([*command, "--nprocs", "1"]) == OK
    assert "before any work" in capsys.readouterr().err
