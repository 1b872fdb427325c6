"""Rows of index.html: the scans of the analysis set, and those that failed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.errors import BadInput
from bids_shresnet.io.storage import NOT_AVAILABLE, read_json, read_tsv
from bids_shresnet.outputs.group_qc import GROUP_QC
from bids_shresnet.outputs.layout import find_harmonized_sidecars
from bids_shresnet.outputs.runs.history import LastStatus, read_last_statuses
from bids_shresnet.outputs.runs.run_log import ScanStatus
from bids_shresnet.report.outliers import find_outliers
from bids_shresnet.report.scan_warnings import record_warnings
from bids_shresnet.report.subject_report import ScanReport

logger = logging.getLogger(__name__)

COLUMNS: Mapping[str, tuple[str, float]] = {  # title and factor of what can be an outlier
    "wm_fa": ("FA, white matter", 1),
    "gm_fa": ("FA, grey matter", 1),
    "wm_md": ("MD, white matter (10⁻³ mm²/s)", 1000),
    "gm_md": ("MD, grey matter (10⁻³ mm²/s)", 1000),
    "novel_fraction": ("Out of distribution (%)", 100),
    "noise_level": ("Noise (% of S0)", 100),
    "implausible_md": ("MD above water (voxels)", 1),
}
COUNT_COLUMNS = ("implausible_md",)  # of whole numbers

Row = Mapping[str, str]


@dataclass(frozen=True)
class RecordWarnings:
    """Warnings that the record of a harmonization tells.

    Attributes
    ----------
    differences
        Differences from the scans of the training, which one of the warnings lists. The run found
        them in the input as well.
    """

    count: int = 0
    differences: tuple[str, ...] = ()


RecordWarningsByScan = Mapping[tuple[str, str], RecordWarnings]  # by scan file and model


@dataclass(frozen=True)
class IndexRow:
    """A scan of the analysis set, or one that failed.

    Attributes
    ----------
    status
        Of the last run that was asked for the scan: "done", "failed" or "excluded"; "n/a" if no
        run is recorded.
    reason
        Why it failed or was excluded.
    warnings
        Warnings about the harmonized scan, and those of that run about files of its session.
    values
        Displayed numbers by the column of group_qc.tsv; NaN where one is not known.
    outliers
        Columns in which the scan is an outlier among those of its scanner.
    ratings
        Results that raters have given to the subject.
    """

    file: str
    subject: str
    session: str
    scanner: str
    role: str
    status: str
    reason: str
    warnings: int
    values: Mapping[str, float]
    outliers: frozenset[str]
    ratings: tuple[str, ...]


def read_index_rows(root: Path, ratings: Iterable[Row]) -> list[IndexRow]:
    """Make a row for each row of group_qc.tsv, and for each scan that failed and has none."""
    table = read_tsv(root / f"{GROUP_QC}.tsv")
    statuses = read_last_statuses(root)
    warnings = read_record_warnings(root)
    return make_index_rows(table, ratings, statuses, warnings)


def make_index_rows(
    table: Sequence[Row],
    ratings: Iterable[Row],
    statuses: Mapping[str, LastStatus],
    warnings: RecordWarningsByScan,
) -> list[IndexRow]:
    """Make the rows of a table and of scans that failed.

    Parameters
    ----------
    statuses
        Of the last runs, by scan file.
    warnings
        Warnings about each harmonized scan.
    """
    results: dict[str, list[str]] = {}
    for rating in ratings:
        results.setdefault(rating["participant_id"], []).append(rating["rating"])
    rows = [*table, *_failed_rows(table, statuses)]
    marked = zip(rows, _find_table_outliers(rows), strict=True)
    return [
        _make_row(row, outliers, statuses.get(row["file"]), warnings, results)
        for row, outliers in marked
    ]


def _failed_rows(table: Sequence[Row], statuses: Mapping[str, LastStatus]) -> list[Row]:
    """Return what group_qc.tsv would say about scans that failed and have no results."""
    files = {row["file"] for row in table}
    return [
        _failed_row(last.row)
        for file, last in statuses.items()
        if last.row.status == "failed" and file not in files
    ]


def read_record_warnings(root: Path) -> dict[tuple[str, str], RecordWarnings]:
    """Read the warnings about each harmonized scan, by its file and model."""
    warnings = {}
    for sidecar in find_harmonized_sidecars(root):
        try:
            record = read_json(sidecar)
            file = Path(record["Sources"][0]).name
            scan = ScanReport(file, record["Harmonization"], qc=(), gallery=None)
            warnings[file, scan.harmonization["Model"]] = RecordWarnings(
                len(record_warnings(scan)), tuple(scan.harmonization["ProtocolDifferences"])
            )
        except FileNotFoundError:
            logger.info("%s is being written again", sidecar.name)
        except (BadInput, LookupError, TypeError):
            logger.warning("%s is damaged: run its scan again", sidecar)
    return warnings


def _failed_row(status: ScanStatus) -> dict[str, str]:
    return {
        "file": status.file,
        "participant_id": f"sub-{status.subject}",
        "session_id": f"ses-{status.session}" if status.session else NOT_AVAILABLE,
        "scanner": status.scanner,
        "role": status.role,
        "model": NOT_AVAILABLE,
        **dict.fromkeys(COLUMNS, NOT_AVAILABLE),
    }


def _make_row(
    row: Row,
    outliers: Collection[str],
    last: LastStatus | None,
    warnings: RecordWarningsByScan,
    ratings: Mapping[str, Sequence[str]],
) -> IndexRow:
    own = warnings.get((row["file"], row["model"]), RecordWarnings())
    return IndexRow(
        file=row["file"],
        subject=row["participant_id"].removeprefix("sub-"),
        session=read_session(row),
        scanner=row["scanner"],
        role=row["role"],
        status=_status_text(last),
        reason=last.row.reason if last else "",
        warnings=own.count + _count_input_warnings(row, last, own.differences),
        values={name: factor * read_number(row[name]) for name, (_, factor) in COLUMNS.items()},
        outliers=frozenset(outliers),
        ratings=tuple(ratings.get(row["participant_id"], ())),
    )


def _status_text(last: LastStatus | None) -> str:
    if last is None:
        return NOT_AVAILABLE
    return "done" if last.row.status == "up to date" else last.row.status


def _count_input_warnings(row: Row, last: LastStatus | None, counted: Collection[str]) -> int:
    """Count other warnings of the scan's last run about files of its subject and session."""
    warnings = last.warnings if last else ()
    others = [warning for warning in warnings if warning.value not in counted]
    return sum(_is_of_session(Path(warning.file).name, row) for warning in others)


def _is_of_session(name: str, row: Row) -> bool:
    is_of_subject = name.startswith(f"{row['participant_id']}_")
    return is_of_subject and ("_ses-" not in name or f"_{row['session_id']}_" in name)


def _find_table_outliers(table: Sequence[Row]) -> list[set[str]]:
    """Find the columns in which each row is an outlier among the scans of its scanner."""
    outliers: list[set[str]] = [set() for _ in table]
    for scanner in {row["scanner"] for row in table}:
        numbers = [index for index, row in enumerate(table) if row["scanner"] == scanner]
        for name in COLUMNS:
            marks = find_outliers([read_number(table[index][name]) for index in numbers])
            for index, is_marked in zip(numbers, marks, strict=True):
                if is_marked:
                    outliers[index].add(name)
    return outliers


def read_session(row: Row) -> str:
    """Read the label of a session; empty without one."""
    session = row["session_id"]
    return "" if session == NOT_AVAILABLE else session.removeprefix("ses-")


def read_number(cell: str) -> float:
    """Read a number of a table; NaN if it is not known."""
    return float("nan") if cell == NOT_AVAILABLE else float(cell)
