"""Earlier runs, read back from `logs/` and `prov/`: in which order they were, and the last that worked on a subject."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.io.storage import MISSING, read_json, read_tsv
from bids_shresnet.outputs.run_log import CRASH, FINDINGS, STATUS, prov_path

WORKED = ("done", "failed")  # what a run says of a scan that it worked on


@dataclass(frozen=True)
class RunRecord:
    """What a run says of itself and of one subject.

    Attributes
    ----------
    name
        Of its folder in `logs`.
    command, started
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
    started: str
    software: Mapping[str, str]
    rows: tuple[Mapping[str, str], ...]
    findings: tuple[Mapping[str, str], ...]
    crashes: Mapping[str, str]


def last_runs(root: Path, subjects: Collection[str]) -> dict[str, RunRecord]:
    """The last run that worked on a scan of each subject, else the last that found all complete."""
    found: dict[str, RunRecord] = {}
    kept: dict[str, RunRecord] = {}
    for folder in reversed(run_folders(root)):
        missing = set(subjects) - found.keys()
        if not missing:
            break
        table = run_table(folder, STATUS)
        for subject in missing:
            states = {row["status"] for row in table if row["subject"] == subject}
            if states & set(WORKED):
                found[subject] = _record(root, folder, subject, table)
            elif "kept" in states and subject not in kept:
                kept[subject] = _record(root, folder, subject, table)
    return {**kept, **found}


def run_folders(root: Path) -> list[Path]:
    """Folders of all runs, the last one last; of those that began in one second, one that never ended comes first."""
    return sorted((path.parent for path in root.glob("logs/*/config.json")), key=_when)


def run_table(folder: Path, name: str) -> list[dict[str, str]]:
    """Rows of a table of a run; none where it has no such table."""
    return read_tsv(folder / name) if (folder / name).exists() else []


def _when(folder: Path) -> tuple[str, int]:
    """Second of its beginning, with which its name begins, and when it ended."""
    status = folder / STATUS
    return folder.name.partition("_")[0], status.stat().st_mtime_ns if status.exists() else 0


def _record(root: Path, folder: Path, subject: str, table: list[dict[str, str]]) -> RunRecord:
    activity, tools = (prov_path(root, folder.name, kind) for kind in ("act", "soft"))
    about = read_json(activity)["Activities"][0] if activity.exists() else {}
    software = {tool["Label"]: tool["Version"] for tool in read_json(tools)["Software"]} if tools.exists() else {}
    rows = tuple(row for row in table if row["subject"] == subject)
    crashes = {row["file"]: folder / CRASH.format(row["file"].split(".")[0]) for row in rows}
    return RunRecord(
        name=folder.name,
        command=about.get("Command", MISSING),
        started=about.get("StartedAtTime", MISSING),
        software=software,
        rows=rows,
        findings=_findings(folder, subject),
        crashes={file: path.read_text(encoding="utf-8") for file, path in crashes.items() if path.exists()},
    )


def _findings(folder: Path, subject: str) -> tuple[Mapping[str, str], ...]:
    rows = run_table(folder, FINDINGS)
    return tuple(row for row in rows if row["severity"] == "warning" and f"sub-{subject}_" in row["file"])
