from __future__ import annotations

import os
from pathlib import Path

import pytest

from bids_shresnet.errors import Finding
from bids_shresnet.io.storage import write_json
from bids_shresnet.outputs.runs.past_runs import RunRecord, read_last_runs
from bids_shresnet.outputs.runs.run_log import (
    ScanStatus,
    Status,
    finish_run,
    start_run,
    write_crash_report,
    write_findings,
)

FILE = "sub-01_dwi.nii.gz"
FINDINGS = [
    Finding("warning", f"/data/{FILE}", "a warning", "Look."),
    Finding("note", f"/data/{FILE}", "a note", "Look."),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_json(tmp_path / "dataset_description.json", {"DatasetLinks": {}})
    return tmp_path


def write_run(root: Path, *statuses: Status, subject: str = "01", command: str = "app") -> str:
    """Write a run and return its name; each one begins and ends later than those before it."""
    run = start_run(root, {}, [command])
    write_findings(run, FINDINGS)
    write_crash_report(run, "sub-01_dwi", "Traceback: it broke")
    finish_run(run, [ScanStatus(subject, "", FILE, status, scanner="GE") for status in statuses])
    end = len(list((root / "logs").iterdir()))
    os.utime(run.folder / "status.tsv", (end, end))
    return run.name


def last_run(root: Path, subject: str) -> RunRecord:
    return read_last_runs(root, [subject])[subject]


def test_the_last_run_that_processed_the_subject_counts(root: Path) -> None:
    write_run(root, "done")
    second = write_run(root, "excluded", "failed")
    write_run(root, "up to date")
    write_run(root, "done", subject="02")
    write_run(root, "excluded")
    record = last_run(root, "01")
    assert record.name == second
    assert [row["status"] for row in record.rows] == ["excluded", "failed"]
    assert {row["scanner"] for row in record.rows} == {"GE"}


def test_each_subject_has_its_own_run_and_an_unknown_subject_none(root: Path) -> None:
    first = write_run(root, "done", subject="01")
    second = write_run(root, "done", subject="02")
    runs = read_last_runs(root, ["01", "02", "03"])
    assert {subject: record.name for subject, record in runs.items()} == {"01": first, "02": second}


def test_a_subject_that_is_up_to_date_has_the_last_run_that_found_it_so(root: Path) -> None:
    write_run(root, "up to date")
    last = write_run(root, "up to date")
    assert last_run(root, "01").name == last


def test_command_versions_warnings_and_tracebacks_are_read(root: Path) -> None:
    write_run(root, "failed", command="bids-shresnet")
    record = last_run(root, "01")
    assert record.provenance.command == "bids-shresnet"
    assert "numpy" in record.provenance.software
    assert [finding["value"] for finding in record.findings] == ["a warning"]
    assert record.crashes == {FILE: "Traceback: it broke"}


def test_a_run_that_was_killed_does_not_count(root: Path) -> None:
    run = start_run(root, {}, ["app"])
    run.log_handler.close()
    assert read_last_runs(root, ["01"]) == {}
