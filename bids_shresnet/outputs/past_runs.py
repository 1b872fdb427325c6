"""Earlier runs, read back from `logs/` and `prov/`: in which order they were, and the last that worked on a subject."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.io.storage import NOT_AVAILABLE, read_json, read_tsv
from bids_shresnet.outputs.run_log import CRASH_FILE, FINDINGS_TSV, STATUS_TSV, prov_path

PROCESSED_STATUSES = ("done", "failed")  # what a run says of a scan that it worked on


@dataclass(frozen=True)
class RunRecord:
    """What a run says of itself and of one subject.

    Attributes
    ----------
    name
        Of its folder in `logs`.
    command, start_time
        As in its provenance; "n/a" if it was ended before it wrote that.
    software
        Versions by name.
    rows
        Lines of status.tsv that are of the subject.
    findings
        Warnings of findings.tsv that name a file of the subject.
    crashes
        Tracebacks by scan file.
    """

    name: str
    command: str
    start_time: str
    software: Mapping[str, str]
    rows: tuple[Mapping[str, str], ...]
    findings: tuple[Mapping[str, str], ...]
    crashes: Mapping[str, str]


def read_last_runs(root: Path, subjects: Collection[str]) -> dict[str, RunRecord]:
    """The last run that worked on a scan of each subject, else the last that found all complete."""
    found: dict[str, RunRecord] = {}
    kept: dict[str, RunRecord] = {}
    for folder in reversed(find_run_folders(root)):
        missing = set(subjects) - found.keys()
        if not missing:
            break
        table = read_run_table(folder, STATUS_TSV)
        for subject in missing:
            states = {row["status"] for row in table if row["subject"] == subject}
            if states & set(PROCESSED_STATUSES):
                found[subject] = _read_run_record(root, folder, subject, table)
            elif "up to date" in states and subject not in kept:
                kept[subject] = _read_run_record(root, folder, subject, table)
    return {**kept, **found}


def find_run_folders(root: Path) -> list[Path]:
    """Folders of all runs, the last one last; of those that began in one second, one that never ended comes first."""
    return sorted((path.parent for path in root.glob("logs/*/config.json")), key=_run_sort_key)


def read_run_table(folder: Path, name: str) -> list[dict[str, str]]:
    """Rows of a table of a run; none where it has no such table."""
    return read_tsv(folder / name) if (folder / name).exists() else []


def _run_sort_key(folder: Path) -> tuple[str, int]:
    """Second of its beginning, with which its name begins, and when it ended."""
    status = folder / STATUS_TSV
    return folder.name.partition("_")[0], status.stat().st_mtime_ns if status.exists() else 0


def _read_run_record(
    root: Path, folder: Path, subject: str, table: list[dict[str, str]]
) -> RunRecord:
    activity, tools = (prov_path(root, folder.name, kind) for kind in ("act", "soft"))
    about = read_json(activity)["Activities"][0] if activity.exists() else {}
    software = (
        {tool["Label"]: tool["Version"] for tool in read_json(tools)["Software"]}
        if tools.exists()
        else {}
    )
    rows = tuple(row for row in table if row["subject"] == subject)
    crashes = {row["file"]: folder / CRASH_FILE.format(row["file"].split(".")[0]) for row in rows}
    return RunRecord(
        name=folder.name,
        command=about.get("Command", NOT_AVAILABLE),
        start_time=about.get("StartedAtTime", NOT_AVAILABLE),
        software=software,
        rows=rows,
        findings=_read_warnings(folder, subject),
        crashes={
            file: path.read_text(encoding="utf-8")
            for file, path in crashes.items()
            if path.exists()
        },
    )


def _read_warnings(folder: Path, subject: str) -> tuple[Mapping[str, str], ...]:
    rows = read_run_table(folder, FINDINGS_TSV)
    return tuple(
        row for row in rows if row["severity"] == "warning" and f"sub-{subject}_" in row["file"]
    )
