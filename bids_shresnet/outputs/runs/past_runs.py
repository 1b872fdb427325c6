"""Earlier runs, read from `logs/` and `prov/`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.io.storage import read_json, read_tsv
from bids_shresnet.outputs.runs.provenance import Provenance, read_provenance
from bids_shresnet.outputs.runs.run_log import CONFIG_FILE, CRASH_FILE, FINDINGS_TSV, STATUS_TSV

SCANS_TSV = "scans.tsv"
PROCESSED_STATUSES = ("done", "failed")  # of scans that the run worked on

Row = Mapping[str, str]


@dataclass(frozen=True)
class RunRecord:
    """A run and its results for one subject.

    Attributes
    ----------
    name
        Name of its folder in `logs`.
    provenance
        Its command, start and software.
    rows
        Lines of status.tsv about the subject.
    findings
        Warnings of findings.tsv that name a file of the subject.
    crashes
        Tracebacks by scan file.
    """

    name: str
    provenance: Provenance
    rows: tuple[Row, ...]
    findings: tuple[Row, ...]
    crashes: Mapping[str, str]


def read_last_runs(root: Path, subjects: Collection[str]) -> dict[str, RunRecord]:
    """Read, for each subject, the last run that processed one of its scans.

    Without one, it is the last run that found all its scans up to date.
    """
    processed: dict[str, RunRecord] = {}
    up_to_date: dict[str, RunRecord] = {}
    for folder in reversed(find_run_folders(root)):
        remaining = set(subjects) - processed.keys()
        if not remaining:
            break
        rows = read_run_table(folder, STATUS_TSV)
        for subject in remaining:
            statuses = {row["status"] for row in rows if row["subject"] == subject}
            if not statuses.isdisjoint(PROCESSED_STATUSES):
                processed[subject] = _read_run_record(root, folder, subject, rows)
            elif "up to date" in statuses and subject not in up_to_date:
                up_to_date[subject] = _read_run_record(root, folder, subject, rows)
    return {**up_to_date, **processed}


def read_level_runs(root: Path) -> dict[str, Provenance]:
    """Read the last run of each analysis level that looked at the dataset."""
    runs = {}
    for folder in find_run_folders(root):
        if (folder / SCANS_TSV).exists():
            level = read_json(folder / CONFIG_FILE)["analysis_level"]
            runs[level] = read_provenance(root, folder.name)
    return dict(sorted(runs.items()))


def find_run_folders(root: Path) -> list[Path]:
    """Find the folders of all runs, the last one last.

    Of runs that began in the same second, one that never ended comes first.
    """
    folders = [config.parent for config in root.glob(f"logs/*/{CONFIG_FILE}")]
    return sorted(folders, key=_run_sort_key)


def read_run_table(folder: Path, name: str) -> list[dict[str, str]]:
    """Read the rows of a table of a run; empty if it has no such table."""
    return read_tsv(folder / name) if (folder / name).exists() else []


def _run_sort_key(folder: Path) -> tuple[str, int]:
    """Second of the run's start, which its name begins with, and time of its end."""
    status = folder / STATUS_TSV
    start = folder.name.partition("_")[0]
    return start, status.stat().st_mtime_ns if status.exists() else 0


def _read_run_record(root: Path, folder: Path, subject: str, table: Sequence[Row]) -> RunRecord:
    rows = tuple(row for row in table if row["subject"] == subject)
    return RunRecord(
        name=folder.name,
        provenance=read_provenance(root, folder.name),
        rows=rows,
        findings=_read_warnings(folder, subject),
        crashes=_read_crashes(folder, [row["file"] for row in rows]),
    )


def _read_crashes(folder: Path, scan_files: Sequence[str]) -> dict[str, str]:
    crashes = {}
    for file in scan_files:
        report = folder / CRASH_FILE.format(file.split(".")[0])
        if report.exists():
            crashes[file] = report.read_text(encoding="utf-8")
    return crashes


def _read_warnings(folder: Path, subject: str) -> tuple[Row, ...]:
    rows = read_run_table(folder, FINDINGS_TSV)
    return tuple(
        row for row in rows if row["severity"] == "warning" and f"sub-{subject}_" in row["file"]
    )
