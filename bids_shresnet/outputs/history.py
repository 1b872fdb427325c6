"""The whole dataset as runs left it in `logs/` and beside their outputs: every DWI and its use, findings, failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bids_shresnet.errors import Finding
from bids_shresnet.io.storage import MISSING, read_json, write_tsv
from bids_shresnet.outputs.past_runs import run_folders, run_table
from bids_shresnet.outputs.run_log import FINDINGS, STATUS, Run, Status

SCANS = "scans.tsv"
HARMONIZED = [f"sub-*/{session}dwi/*_desc-harmonized*_dwi.json" for session in ("", "ses-*/")]


@dataclass(frozen=True)
class ScanRow:
    """A DWI file, its directions by shell, what it is used for and, where for nothing, why; `scanner` may be empty."""

    file: str
    subject: str
    session: str
    scanner: str
    shells: str
    role: str
    reason: str

    @property
    def name(self) -> str:
        """Of the file."""
        return Path(self.file).name

    @property
    def teaches(self) -> bool:
        """Whether a model learns from it."""
        return "travelling" in self.role


@dataclass(frozen=True)
class Marked:
    """Share of a harmonized scan's brain that is unlike anything its model was trained on."""

    scan: str
    subject: str
    model: str
    share: float


def write_scans(run: Run, rows: Sequence[ScanRow]) -> None:
    """Write every DWI of the dataset, and what it is used for, into scans.tsv of a run."""
    write_tsv(run.folder / SCANS, [asdict(row) for row in rows], [field.name for field in fields(ScanRow)])


def last_scans(root: Path) -> tuple[ScanRow, ...]:
    """All DWI as the last `group` run saw them; a run for some subjects may have seen fewer."""
    return tuple(ScanRow(**row) for row in _rows(_last_group_run(root), SCANS))


def last_findings(root: Path) -> tuple[Finding, ...]:
    """What that run found wrong or odd."""
    found = tuple(Finding(**row) for row in _rows(_last_group_run(root), FINDINGS))  # type: ignore[arg-type]  # text
    return tuple(one for one in found if one.severity != "note")


def failures(root: Path) -> tuple[Status, ...]:
    """Scans that failed and were not done by a later run."""
    rows = [row for run in run_folders(root) for row in _rows(run, STATUS)]
    last = {row["file"]: row for row in rows}
    return tuple(Status(**row) for row in last.values() if row["status"] == "failed")  # type: ignore[arg-type]  # text


def marked_shares(root: Path) -> tuple[Marked, ...]:
    """Of every harmonized scan, from its sidecar."""
    sidecars = [path for pattern in HARMONIZED for path in root.glob(pattern)]
    records = [(path.name.removesuffix(".json"), read_json(path)["Harmonization"]) for path in sorted(sidecars)]
    return tuple(
        Marked(name, name.split("_")[0].removeprefix("sub-"), one["Model"], one["Novelty"]["MarkedFraction"])
        for name, one in records
    )


def _last_group_run(root: Path) -> Path | None:
    """The last one that looked at a dataset; one that only wrote reports did not."""
    looked = [run for run in run_folders(root) if (run / SCANS).exists()]
    return next((run for run in reversed(looked) if read_json(run / "config.json")["analysis_level"] == "group"), None)


def _rows(folder: Path | None, name: str) -> list[dict[str, str]]:
    """Rows of a table of a run, n/a as empty text."""
    rows = run_table(folder, name) if folder else []
    return [{key: "" if cell == MISSING else cell for key, cell in row.items()} for row in rows]
