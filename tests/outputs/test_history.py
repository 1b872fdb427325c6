from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Literal

from bids_shresnet.errors import Finding
from bids_shresnet.io.storage import write_json, write_tsv
from bids_shresnet.outputs.history import (
    ScanRow,
    read_failed_scans,
    read_last_findings,
    read_last_scans,
    read_novel_fractions,
)
from bids_shresnet.outputs.run_log import ScanStatus

SCAN = ScanRow("/data/sub-01_dwi.nii.gz", "01", "", "GE", "30 x 1200", "travelling source", "")
WARNING = Finding("warning", "sub-01", "odd", "Look.")


def left_by_run(
    root: Path, time: str, level: str, **tables: Sequence[ScanRow | Finding | ScanStatus]
) -> None:
    """A folder of a run with these tables."""
    write_json(root / "logs" / time / "config.json", {"analysis_level": level})
    for name, rows in tables.items():
        write_tsv(root / "logs" / time / f"{name}.tsv", [vars(row) for row in rows])


def status(file: str, found: Literal["done", "failed"], reason: str = "") -> ScanStatus:
    return ScanStatus("01", "", file, found, reason)


def test_the_scans_are_those_of_the_last_group_run_that_looked_at_the_dataset(
    tmp_path: Path,
) -> None:
    old, new, few = (
        replace(SCAN, role=role) for role in ("excluded", "travelling source", "to harmonize")
    )
    left_by_run(tmp_path, "1", "group", scans=[old, old])
    left_by_run(
        tmp_path, "2", "group", scans=[new], findings=[WARNING, replace(WARNING, severity="note")]
    )
    left_by_run(tmp_path, "3", "participant", scans=[few])  # for one subject, say
    left_by_run(tmp_path, "4", "group")  # --reports-only
    assert read_last_scans(tmp_path) == (new,)
    assert read_last_findings(tmp_path) == (WARNING,)
    assert new.is_training_scan
    assert not old.is_training_scan
    assert asdict(read_last_scans(tmp_path)[0])["session"] == ""  # not n/a


def test_a_scan_that_failed_is_told_until_a_later_run_has_done_it(tmp_path: Path) -> None:
    left_by_run(
        tmp_path,
        "1",
        "participant",
        status=[status("a", "failed", "x"), status("b", "failed", "y")],
    )
    left_by_run(tmp_path, "2", "participant", status=[status("b", "done")])
    left_by_run(tmp_path, "3", "participant", status=[])
    assert [(one.file, one.reason) for one in read_failed_scans(tmp_path)] == [("a", "x")]


def test_of_two_runs_that_began_in_one_second_the_one_that_ended_last_counts(
    tmp_path: Path,
) -> None:
    left_by_run(tmp_path, "1_b", "participant", status=[status("a", "failed")])
    left_by_run(tmp_path, "1_a", "participant", status=[status("a", "done")])
    for name, ended in (("1_b", 1), ("1_a", 2)):
        os.utime(tmp_path / "logs" / name / "status.tsv", (ended, ended))
    assert read_failed_scans(tmp_path) == ()


def test_where_nothing_was_run_there_is_nothing_to_tell(tmp_path: Path) -> None:
    assert (
        read_last_scans(tmp_path)
        == read_last_findings(tmp_path)
        == read_failed_scans(tmp_path)
        == read_novel_fractions(tmp_path)
        == ()
    )


def test_marked_shares_are_those_of_the_sidecars_with_or_without_sessions(tmp_path: Path) -> None:
    for name, share in (("sub-01/dwi/sub-01", 0.01), ("sub-02/ses-ge/dwi/sub-02_ses-ge", 0.5)):
        record = {"Harmonization": {"Model": "from-A_to-B", "Novelty": {"MarkedFraction": share}}}
        write_json(tmp_path / f"{name}_desc-harmonized_dwi.json", record)
        write_json(tmp_path / f"{name}_desc-novelty_dwimap.json", {})
    found = [(one.subject, one.fraction, one.model) for one in read_novel_fractions(tmp_path)]
    assert found == [("01", 0.01, "from-A_to-B"), ("02", 0.5, "from-A_to-B")]
