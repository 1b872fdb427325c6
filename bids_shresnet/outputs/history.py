"""The whole dataset as runs left it in `logs/` and beside their outputs: every DWI and its use, findings, failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from bids_shresnet.errors import Finding
from bids_shresnet.io.storage import NOT_AVAILABLE, read_json, write_tsv
from bids_shresnet.outputs.past_runs import find_run_folders, read_run_table
from bids_shresnet.outputs.run_log import FINDINGS_TSV, STATUS_TSV, Run, ScanStatus

SCANS_TSV = "scans.tsv"
HARMONIZED_SIDECARS = [
    f"sub-*/{session}dwi/*_desc-harmonized*_dwi.json" for session in ("", "ses-*/")
]


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
    def is_training_scan(self) -> bool:
        """Whether a model learns from it."""
        return "travelling" in self.role


@dataclass(frozen=True)
class NovelFraction:
    """Share of a harmonized scan's brain that is unlike anything its model was trained on."""

    scan: str
    subject: str
    model: str
    fraction: float


def write_scans(run: Run, rows: Sequence[ScanRow]) -> None:
    """Write every DWI of the dataset, and what it is used for, into scans.tsv of a run."""
    write_tsv(
        run.folder / SCANS_TSV,
        [asdict(row) for row in rows],
        [field.name for field in fields(ScanRow)],
    )


def read_last_scans(root: Path) -> tuple[ScanRow, ...]:
    """All DWI as the last `group` run saw them; a run for some subjects may have seen fewer."""
    return tuple(ScanRow(**row) for row in _read_rows(_find_last_group_run(root), SCANS_TSV))


def read_last_findings(root: Path) -> tuple[Finding, ...]:
    """What that run found wrong or odd."""
    found = tuple(Finding(**row) for row in _read_rows(_find_last_group_run(root), FINDINGS_TSV))  # type: ignore[arg-type]  # text
    return tuple(one for one in found if one.severity != "note")


def read_failed_scans(root: Path) -> tuple[ScanStatus, ...]:
    """Scans that failed and were not done by a later run."""
    rows = [row for run in find_run_folders(root) for row in _read_rows(run, STATUS_TSV)]
    last = {row["file"]: row for row in rows}
    return tuple(ScanStatus(**row) for row in last.values() if row["status"] == "failed")  # type: ignore[arg-type]  # text


def read_novel_fractions(root: Path) -> tuple[NovelFraction, ...]:
    """Of every harmonized scan, from its sidecar."""
    sidecars = [path for pattern in HARMONIZED_SIDECARS for path in root.glob(pattern)]
    records = [
        (path.name.removesuffix(".json"), read_json(path)["Harmonization"])
        for path in sorted(sidecars)
    ]
    return tuple(
        NovelFraction(
            name,
            name.split("_")[0].removeprefix("sub-"),
            one["Model"],
            one["Novelty"]["MarkedFraction"],
        )
        for name, one in records
    )


def _find_last_group_run(root: Path) -> Path | None:
    """The last one that looked at a dataset; one that only wrote reports did not."""
    looked = [run for run in find_run_folders(root) if (run / SCANS_TSV).exists()]
    return next(
        (
            run
            for run in reversed(looked)
            if read_json(run / "config.json")["analysis_level"] == "group"
        ),
        None,
    )


def _read_rows(folder: Path | None, name: str) -> list[dict[str, str]]:
    """Rows of a table of a run, n/a as empty text."""
    rows = read_run_table(folder, name) if folder else []
    return [
        {key: "" if cell == NOT_AVAILABLE else cell for key, cell in row.items()} for row in rows
    ]
