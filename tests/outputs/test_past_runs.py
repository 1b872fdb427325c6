from __future__ import annotations

import os
from pathlib import Path

from bids_shresnet.errors import Finding
from bids_shresnet.io.storage import write_json
from bids_shresnet.outputs.past_runs import read_last_runs
from bids_shresnet.outputs.run_log import (
    ScanStatus,
    finish_run,
    start_run,
    write_crash_report,
    write_findings,
)

FILE = "sub-01_dwi.nii.gz"


def ran(root: Path, *states: str, subject: str = "01", command: str = "app") -> str:
    """Name of a run that found scans so; every run begins and ends later than the one before."""
    write_json(root / "dataset_description.json", {"DatasetLinks": {}})
    run = start_run(root, {}, [command])
    write_findings(
        run, [Finding(kind, f"/data/{FILE}", f"a {kind}", "Look.") for kind in ("warning", "note")]
    )
    write_crash_report(run, "sub-01_dwi", "Traceback: it broke")
    finish_run(run, [ScanStatus(subject, "", FILE, state, scanner="GE") for state in states])  # type: ignore[arg-type]
    order = len(list((root / "logs").iterdir()))
    os.utime(run.folder / "status.tsv", (order, order))
    return run.name


def test_the_last_run_that_worked_on_a_subject_counts_whatever_others_found_complete(
    tmp_path: Path,
) -> None:
    first = ran(tmp_path, "done", command="first")
    second = ran(tmp_path, "excluded", "failed", command="second")
    ran(tmp_path, "up to date", command="third")
    ran(tmp_path, "done", subject="02")
    ran(tmp_path, "excluded")
    found = read_last_runs(tmp_path, ["01", "02", "03"])
    assert found["01"].name == second != first
    assert [row["status"] for row in found["01"].rows] == ["excluded", "failed"]
    assert {row["scanner"] for row in found["01"].rows} == {"GE"}
    assert found["02"].rows[0]["subject"] == "02"
    assert "03" not in found


def test_a_subject_that_is_complete_has_the_last_run_that_said_so(tmp_path: Path) -> None:
    ran(tmp_path, "up to date")
    last = ran(tmp_path, "up to date")
    assert read_last_runs(tmp_path, ["01"])["01"].name == last


def test_command_versions_warnings_and_tracebacks_are_read(tmp_path: Path) -> None:
    ran(tmp_path, "failed", command="bids-shresnet")
    found = read_last_runs(tmp_path, ["01"])["01"]
    assert found.provenance.command == "bids-shresnet"
    assert "numpy" in found.provenance.software
    assert [one["value"] for one in found.findings] == ["a warning"]
    assert found.crashes == {FILE: "Traceback: it broke"}


def test_a_run_that_was_killed_does_not_count(tmp_path: Path) -> None:
    write_json(tmp_path / "dataset_description.json", {"DatasetLinks": {}})
    run = start_run(tmp_path, {}, ["app"])
    run.log_handler.close()
    assert read_last_runs(tmp_path, ["01"]) == {}
