"""The dataset as earlier runs saw it: every DWI and its roles, findings, failures and novelty."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from bids_shresnet.errors import Finding, Severity, group_findings
from bids_shresnet.io.storage import NOT_AVAILABLE, read_json
from bids_shresnet.outputs.described_tables import write_described_table
from bids_shresnet.outputs.layout import find_harmonized_sidecars
from bids_shresnet.outputs.runs.past_runs import SCANS_TSV, find_run_folders, read_run_table
from bids_shresnet.outputs.runs.run_log import (
    CONFIG_FILE,
    FINDINGS_TSV,
    STATUS_TSV,
    Run,
    ScanStatus,
    Status,
)
from bids_shresnet.pairs import NOT_REQUESTED, NOT_TRAINED_ON

SCAN_COLUMNS = ("file", "subject", "session", "scanner", "shells", "role", "reason")
ROLE_SEPARATOR = "; "
UNUSABLE = "excluded"  # a scan with no role, because it cannot be used
UNUSED = "not used"  # a scan with no role that could be used

Role = Literal["travelling source", "travelling target", "to harmonize"]
ROLES: tuple[Role, ...] = get_args(Role)
TRAINING_ROLES: frozenset[Role] = frozenset({"travelling source", "travelling target"})

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ScanRow:
    """A DWI file and its use.

    Attributes
    ----------
    scanner
        Label; empty if unknown.
    shells
        Directions by shell, such as "50 x 1000 + 50 x 2000" (s/mm2); empty if it is excluded.
    roles
        What the scan is used for.
    reason
        Why it is excluded, not used or not harmonized.
    """

    file: str
    subject: str
    session: str
    scanner: str
    shells: str
    roles: tuple[Role, ...] = ()
    reason: str = ""

    @property
    def name(self) -> str:
        """Name of the file."""
        return Path(self.file).name

    @property
    def role_text(self) -> str:
        """All roles, for readers; what a scan without one is depends on whether it is usable."""
        return ROLE_SEPARATOR.join(self.roles) or (UNUSED if self.shells else UNUSABLE)

    @property
    def is_training_scan(self) -> bool:
        """True if a model is trained on the scan."""
        return not TRAINING_ROLES.isdisjoint(self.roles)


@dataclass(frozen=True)
class LastStatus:
    """Status of a scan in the last run that was asked for it.

    Attributes
    ----------
    warnings
        All warnings of this run about files, also about those of other scans.
    """

    row: ScanStatus
    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class NovelFraction:
    """Fraction of a harmonized scan's brain that is unlike the training data of its model."""

    scan: str
    subject: str
    model: str
    fraction: float


def write_scans(run: Run, rows: Sequence[ScanRow]) -> None:
    """Write every DWI of the dataset and its roles into scans.tsv of a run."""
    write_described_table(run.folder / SCANS_TSV, [_scan_cells(row) for row in rows], SCAN_COLUMNS)


def read_last_scans(root: Path) -> tuple[ScanRow, ...]:
    """Read all DWI as the last `group` run saw them; a run for some subjects sees fewer."""
    return tuple(_scan_row(row) for row in _read_rows(_find_last_group_run(root), SCANS_TSV))


def read_last_findings(root: Path) -> tuple[Finding, ...]:
    """Read the errors and warnings of the last `group` run, one for all files of the same."""
    rows = _read_rows(_find_last_group_run(root), FINDINGS_TSV)
    groups = group_findings(map(_finding, rows))
    return tuple(
        Finding(group.severity, group.subject, group.value, group.remedy)
        for group in groups
        if group.severity != "note"
    )


def read_failed_scans(root: Path) -> tuple[ScanStatus, ...]:
    """Read the scans that failed and that no later run completed."""
    statuses = read_last_statuses(root).values()
    return tuple(status.row for status in statuses if status.row.status == "failed")


def read_last_statuses(root: Path) -> dict[str, LastStatus]:
    """Read the status of each scan, by its file, in the last run that was asked for it.

    With several targets, a scan has failed if it failed for one of them.
    """
    statuses = {}
    for folder in find_run_folders(root):
        rows = [_scan_status(row) for row in _read_rows(folder, STATUS_TSV)]
        findings = map(_finding, _read_rows(folder, FINDINGS_TSV))
        warnings = tuple(item for item in findings if item.severity == "warning")
        for row in sorted(rows, key=lambda row: row.status == "failed"):
            if not row.reason.startswith((NOT_REQUESTED, NOT_TRAINED_ON)):
                statuses[row.file] = LastStatus(row, warnings)
    return statuses


def read_novel_fractions(root: Path) -> tuple[NovelFraction, ...]:
    """Read the novel fraction of every harmonized scan from its sidecar.

    Scans that are written again at this moment are left out.
    """
    fractions = []
    for sidecar in find_harmonized_sidecars(root):
        try:
            fractions.append(_novel_fraction(sidecar))
        except FileNotFoundError:
            logger.info("%s is being written again", sidecar.name)
    return tuple(fractions)


def _novel_fraction(sidecar: Path) -> NovelFraction:
    scan = sidecar.name.removesuffix(".json")
    harmonization: Mapping[str, Any] = read_json(sidecar)["Harmonization"]
    return NovelFraction(
        scan=scan,
        subject=scan.split("_")[0].removeprefix("sub-"),
        model=harmonization["Model"],
        fraction=harmonization["Novelty"]["MarkedFraction"],
    )


def _scan_cells(row: ScanRow) -> dict[str, str]:
    return {
        "file": row.file,
        "subject": row.subject,
        "session": row.session,
        "scanner": row.scanner,
        "shells": row.shells,
        "role": row.role_text,
        "reason": row.reason,
    }


def _scan_row(row: Mapping[str, str]) -> ScanRow:
    roles = row["role"].split(ROLE_SEPARATOR)
    return ScanRow(
        file=row["file"],
        subject=row["subject"],
        session=row["session"],
        scanner=row["scanner"],
        shells=row["shells"],
        roles=tuple(role for role in ROLES if role in roles),
        reason=row["reason"],
    )


def _finding(row: Mapping[str, str]) -> Finding:
    severity = cast("Severity", row["severity"])
    return Finding(severity, file=row["file"], value=row["value"], remedy=row["remedy"])


def _scan_status(row: Mapping[str, str]) -> ScanStatus:
    return ScanStatus(
        subject=row["subject"],
        session=row["session"],
        file=row["file"],
        status=cast("Status", row["status"]),
        reason=row["reason"],
        scanner=row["scanner"],
        role=row["role"],
    )


def _find_last_group_run(root: Path) -> Path | None:
    """Find the last `group` run that looked at the dataset; one that only wrote reports did not."""
    for folder in reversed(find_run_folders(root)):
        has_scans = (folder / SCANS_TSV).exists()
        if has_scans and read_json(folder / CONFIG_FILE)["analysis_level"] == "group":
            return folder
    return None


def _read_rows(folder: Path | None, name: str) -> list[dict[str, str]]:
    """Read the rows of a table of a run, with `n/a` as empty text."""
    rows = read_run_table(folder, name) if folder else []
    return [_fill_cells(row) for row in rows]


def _fill_cells(row: Mapping[str, str]) -> dict[str, str]:
    return {column: "" if cell == NOT_AVAILABLE else cell for column, cell in row.items()}
