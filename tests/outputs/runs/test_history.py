from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from logging import NullHandler
from pathlib import Path

import pytest

from bids_shresnet.errors import Finding
from bids_shresnet.io.storage import read_tsv, write_json, write_tsv
from bids_shresnet.outputs.layout import find_harmonized_sidecars
from bids_shresnet.outputs.runs.history import (
    LastStatus,
    NovelFraction,
    Role,
    ScanRow,
    read_failed_scans,
    read_last_findings,
    read_last_scans,
    read_last_statuses,
    read_novel_fractions,
    write_scans,
)
from bids_shresnet.outputs.runs.run_log import Run, ScanStatus, Status
from bids_shresnet.runtime.leftovers import temporary_path

SCAN = ScanRow(
    file="/data/sub-01_dwi.nii.gz",
    subject="01",
    session="",
    scanner="GE",
    shells="30 x 1200",
    roles=("travelling source", "to harmonize"),
)
WARNING = Finding("warning", "sub-01", "odd", "Look.")


def write_run(
    root: Path,
    name: str,
    level: str,
    *,
    scans: Sequence[ScanRow] = (),
    findings: Sequence[Finding] = (),
    statuses: Sequence[ScanStatus] = (),
) -> Path:
    """Write the folder of a run with its tables that are not empty."""
    run = Run(root, name, "app", datetime(2026, 1, 1, tzinfo=UTC), NullHandler())
    write_json(run.folder / "config.json", {"analysis_level": level})
    if scans:
        write_scans(run, scans)
    if findings:
        write_tsv(run.folder / "findings.tsv", [vars(finding) for finding in findings])
    if statuses:
        write_tsv(run.folder / "status.tsv", [vars(status) for status in statuses])
    return run.folder


def scan_status(file: str, status: Status, reason: str = "") -> ScanStatus:
    return ScanStatus("01", "", file, status, reason)


def test_scans_are_those_of_the_last_group_run_that_looked_at_the_dataset(tmp_path: Path) -> None:
    new = replace(SCAN, reason="new")
    write_run(tmp_path, "1", "group", scans=[SCAN, SCAN])
    write_run(tmp_path, "2", "group", scans=[new])
    write_run(tmp_path, "3", "participant", scans=[SCAN])  # for one subject, for example
    write_run(tmp_path, "4", "group")  # --reports-only
    assert read_last_scans(tmp_path) == (new,)


def test_findings_are_those_of_the_same_run_without_notes(tmp_path: Path) -> None:
    note = replace(WARNING, severity="note")
    write_run(tmp_path, "1", "group", scans=[SCAN], findings=[WARNING, note])
    assert read_last_findings(tmp_path) == (WARNING,)


@pytest.mark.parametrize(
    ("roles", "text", "is_training_scan"),
    [
        ((), "not used", False),
        (("to harmonize",), "to harmonize", False),
        (("travelling target",), "travelling target", True),
        (("travelling source", "to harmonize"), "travelling source; to harmonize", True),
    ],
)
def test_roles_are_written_as_text_and_read_as_data(
    roles: tuple[Role, ...], text: str, is_training_scan: bool, tmp_path: Path
) -> None:
    row = replace(SCAN, roles=roles)
    folder = write_run(tmp_path, "1", "group", scans=[row])
    assert [cells["role"] for cells in read_tsv(folder / "scans.tsv")] == [text]
    assert read_last_scans(tmp_path) == (row,)
    assert row.is_training_scan == is_training_scan


def test_a_scan_that_cannot_be_used_is_excluded(tmp_path: Path) -> None:
    row = replace(SCAN, shells="", roles=(), reason="b=0 images only")
    folder = write_run(tmp_path, "1", "group", scans=[row])
    assert [cells["role"] for cells in read_tsv(folder / "scans.tsv")] == ["excluded"]
    assert read_last_scans(tmp_path) == (row,)


def test_a_scan_that_failed_is_listed_until_a_later_run_completes_it(tmp_path: Path) -> None:
    failed = [scan_status("a", "failed", "x"), scan_status("b", "failed", "y")]
    write_run(tmp_path, "1", "participant", statuses=failed)
    write_run(tmp_path, "2", "participant", statuses=[scan_status("b", "done")])
    write_run(tmp_path, "3", "participant")
    assert read_failed_scans(tmp_path) == (failed[0],)


def test_a_run_that_was_not_asked_for_a_scan_does_not_change_its_status(tmp_path: Path) -> None:
    failed = scan_status("a", "failed", "x")
    write_run(tmp_path, "1", "participant", statuses=[failed], findings=[WARNING])
    skipped = scan_status("a", "excluded", "not asked for (--participant-label)")
    write_run(tmp_path, "2", "participant", statuses=[skipped])
    left_out = scan_status("a", "excluded", "not trained on for from-A_to-B: another head")
    write_run(tmp_path, "2b", "group", statuses=[left_out])
    assert read_failed_scans(tmp_path) == (failed,)
    assert read_last_statuses(tmp_path) == {"a": LastStatus(failed, (WARNING,))}
    excluded = scan_status("a", "excluded", "b=0 images only")
    write_run(tmp_path, "3", "participant", statuses=[excluded])
    assert read_failed_scans(tmp_path) == ()


def test_a_scan_that_failed_for_one_of_several_targets_has_failed(tmp_path: Path) -> None:
    rows = [scan_status("a", "failed", "x"), scan_status("a", "done")]
    write_run(tmp_path, "1", "participant", statuses=rows)
    assert read_failed_scans(tmp_path) == (rows[0],)


def test_of_runs_that_began_in_one_second_the_one_that_ended_last_counts(tmp_path: Path) -> None:
    first = write_run(tmp_path, "1_b", "participant", statuses=[scan_status("a", "failed")])
    last = write_run(tmp_path, "1_a", "participant", statuses=[scan_status("a", "done")])
    for folder, end in ((first, 1), (last, 2)):
        os.utime(folder / "status.tsv", (end, end))
    assert read_failed_scans(tmp_path) == ()


def test_without_a_run_everything_is_empty(tmp_path: Path) -> None:
    assert read_last_scans(tmp_path) == ()
    assert read_last_findings(tmp_path) == ()
    assert read_failed_scans(tmp_path) == ()
    assert read_novel_fractions(tmp_path) == ()


def test_novel_fractions_are_those_of_the_sidecars_with_or_without_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for stem, fraction in (("sub-01/dwi/sub-01", 0.01), ("sub-02/ses-ge/dwi/sub-02_ses-ge", 0.5)):
        harmonization = {"Model": "from-A_to-B", "Novelty": {"MarkedFraction": fraction}}
        sidecar = {"Harmonization": harmonization}
        write_json(tmp_path / f"{stem}_desc-harmonized_dwi.json", sidecar)
        write_json(tmp_path / f"{stem}_desc-novelty_dwimap.json", {})
        temporary_path(tmp_path / f"{stem}_desc-harmonized_dwi.json").write_text("{")
    expected = (
        NovelFraction("sub-01_desc-harmonized_dwi", "01", "from-A_to-B", 0.01),
        NovelFraction("sub-02_ses-ge_desc-harmonized_dwi", "02", "from-A_to-B", 0.5),
    )
    assert read_novel_fractions(tmp_path) == expected
    listed = find_harmonized_sidecars(tmp_path)
    listed[0].unlink()  # after it was listed
    module = "bids_shresnet.outputs.runs.history"
    monkeypatch.setattr(f"{module}.find_harmonized_sidecars", lambda _: listed)
    assert read_novel_fractions(tmp_path) == expected[1:]
