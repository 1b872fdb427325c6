from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from bids_shresnet.errors import Finding
from bids_shresnet.io.storage import write_json, write_tsv
from bids_shresnet.outputs.runs.history import LastStatus
from bids_shresnet.outputs.runs.run_log import ScanStatus, Status
from bids_shresnet.report.index_rows import (
    IndexRow,
    RecordWarnings,
    make_index_rows,
    read_index_rows,
)
from tests.report.test_subject_page import RECORD

RATING = {"participant_id": "sub-00", "rating": "fail"}
MODEL = RECORD["Model"]


def qc_row(subject: str, fa: float, scanner: str = "GE", session: str = "n/a") -> dict[str, str]:
    known = {"file": f"sub-{subject}_dwi.nii.gz", "participant_id": f"sub-{subject}"}
    known |= {"session_id": session, "scanner": scanner, "role": "harmonized", "model": MODEL}
    numbers = {"wm_fa": str(fa), "gm_fa": "0.2", "wm_md": "0.0007", "gm_md": "n/a"}
    return {
        **known,
        **numbers,
        "novel_fraction": "0.02",
        "noise_level": "n/a",
        "implausible_md": "7",
    }


def last_status(subject: str, status: Status, warned: Sequence[str] = ()) -> dict[str, LastStatus]:
    row = ScanStatus(subject, "", f"sub-{subject}_dwi.nii.gz", status, "why", "GE", "harmonized")
    warnings = [Finding.warning(file, "24 directions", "none") for file in warned]
    return {row.file: LastStatus(row, tuple(warnings))}


def index_rows(
    table: Sequence[Mapping[str, str]], statuses: Mapping[str, LastStatus] | None = None
) -> list[IndexRow]:
    return make_index_rows(table, [RATING], statuses or {}, {})


def test_outliers_are_those_among_the_scans_of_a_scanner() -> None:
    table = [qc_row(f"{n:02d}", 0.45 + n / 1000) for n in range(6)]
    table += [qc_row(f"{n:02d}", 0.55 + n / 1000, "Prisma") for n in range(6)]
    assert not any(row.outliers for row in index_rows(table))
    table[0]["wm_fa"] = "0.55"
    first, *others = index_rows(table)
    assert (first.outliers, first.ratings) == (frozenset({"wm_fa"}), ("fail",))
    assert first.values["wm_md"] == pytest.approx(0.7)
    assert not any(row.outliers for row in others)


@pytest.mark.parametrize(
    ("status", "shown"), [("done", "done"), ("up to date", "done"), ("failed", "failed")]
)
def test_a_scan_has_the_status_of_its_last_run(status: Status, shown: str) -> None:
    (row,) = index_rows([qc_row("01", 0.4)], last_status("01", status))
    assert (row.status, row.reason) == (shown, "why")


def test_without_a_recorded_run_the_status_is_not_known() -> None:
    (row,) = index_rows([qc_row("01", 0.4)])
    assert (row.status, row.reason, row.warnings) == ("n/a", "", 0)


def test_a_scan_without_results_is_listed_if_it_failed() -> None:
    statuses = last_status("02", "failed") | last_status("03", "excluded")
    _, row = index_rows([qc_row("01", 0.4)], statuses)
    assert (row.file, row.status, row.scanner) == ("sub-02_dwi.nii.gz", "failed", "GE")
    assert row.role == "harmonized"
    assert not any(value == value for value in row.values.values())  # NaN


def test_warnings_of_the_input_are_those_of_the_same_subject_and_session() -> None:
    files = [
        "/data/sub-01/ses-a/dwi/sub-01_ses-a_dwi.bval",
        "/data/sub-01/ses-a/dwi/sub-01_ses-a_dwi.json",
        "/data/sub-01/ses-ab/dwi/sub-01_ses-ab_dwi.json",
        "/data/sub-01/sub-01_sessions.tsv",
        "/data/sub-011/ses-a/dwi/sub-011_ses-a_dwi.json",
        "GE",
    ]
    (row,) = index_rows(
        [qc_row("01", 0.4, session="ses-a")], last_status("01", "done", warned=files)
    )
    assert row.warnings == 3


def test_warnings_about_a_harmonized_scan_are_counted_by_scan_and_model(tmp_path: Path) -> None:
    write_tsv(
        tmp_path / "group_qc.tsv",
        [qc_row("01", 0.4), {**qc_row("01", 0.4), "model": "other"}, qc_row("02", 0.4)],
    )
    sidecar = tmp_path / "sub-01/dwi/sub-01_desc-harmonized_dwi.json"
    record = {**RECORD, "ClippedSignal": 0.5}  # and an error that became larger
    write_json(
        sidecar, {"Sources": ["bids:raw:sub-01/dwi/sub-01_dwi.nii.gz"], "Harmonization": record}
    )
    write_json(tmp_path / "sub-02/dwi/sub-02_desc-harmonized_dwi.json", {"Sources": []})  # damaged
    assert [row.warnings for row in read_index_rows(tmp_path, ())] == [2, 0, 0]


def test_a_difference_from_the_training_that_the_record_tells_is_not_counted_again() -> None:
    row = qc_row("01", 0.4)
    files = ["sub-01_dwi.nii.gz", "sub-01_dwi.json"]
    statuses = last_status("01", "done", warned=files)
    for differences, count in [((), 3), (("24 directions",), 1)]:
        own = {(row["file"], MODEL): RecordWarnings(1, differences)}
        (found,) = make_index_rows([row], [], statuses, own)
        assert found.warnings == count
