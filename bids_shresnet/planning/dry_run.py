"""The output of --dry-run: tables for people, or one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from bids_shresnet.errors import BadInput, Finding, ShresnetError, group_findings, join_some
from bids_shresnet.outputs.runs.history import ScanRow
from bids_shresnet.planning.overview import Overview, PairRow, ScannerRow

Cells = tuple[str, ...]

SCANNER_COLUMNS = (
    "label",
    "manufacturer",
    "model",
    "serial",
    "named by",
    "scans",
    "subjects",
    "conflicts",
)
SCAN_COLUMNS = ("scan", "scanner", "directions x b", "role")
PAIR_COLUMNS = ("model", "travelling", "subjects")
MAX_LISTED_SCANS = 30  # that a terminal shows one by one
MAX_KINDS = 10  # lines of a table that counts scans


def render_json(overview: Overview) -> str:
    """Write scanners, scans, pairs and findings as JSON; a finding lists all its files."""
    groups = group_findings(overview.findings, ignores_numbers=False)
    record = asdict(replace(overview, findings=())) | {
        "scans": list(map(_scan_record, overview.scans)),
        "findings": list(map(asdict, groups)),
    }
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def _scan_record(row: ScanRow) -> dict[str, Any]:
    """Return a scan with its shells as numbers: directions, and b-value in s/mm2."""
    shells = []
    for text in row.shells.split(" + ") if row.shells else ():
        directions, bvalue = text.split(" x ")
        shells.append({"directions": int(directions), "bvalue": int(bvalue)})
    return asdict(row) | {"shells": shells}


def render_error(error: ShresnetError) -> str:
    """Write the same document for an error that came before the look at the dataset."""
    findings = error.findings if isinstance(error, BadInput) else (_error_finding(error),)
    return render_json(Overview((), (), (), findings))


def render_text(overview: Overview, *, is_complete: bool = True) -> str:
    """Write scanners, scans, pairs, excluded files and findings as tables.

    Parameters
    ----------
    is_complete
        Whether every scan and file has a line. Otherwise those of a large dataset are counted by
        what is alike, with an example of each.
    """
    usable = [scan for scan in overview.scans if scan.shells]
    excluded = [scan for scan in overview.scans if not scan.shells]
    is_listed = is_complete or len(overview.scans) <= MAX_LISTED_SCANS
    limit = None if is_listed else MAX_KINDS
    blocks = [
        _format_table("Scanners", SCANNER_COLUMNS, map(_scanner_cells, overview.scanners), limit),
        _format_scans(usable) if is_listed else _count_scans(usable),
        _format_table("Pairs", PAIR_COLUMNS, map(_pair_cells, overview.pairs), limit),
        _format_excluded(excluded) if is_listed else _count_excluded(excluded),
        _format_findings(overview.findings, is_complete=is_complete, limit=limit),
    ]
    if not is_complete and (not is_listed or _has_shared(overview.findings)):
        blocks.append("All scans and files: add -v, or --json for programs.")
    return "\n\n".join(blocks) + "\n"


def _format_scans(scans: Sequence[ScanRow]) -> str:
    return _format_table("Scans", SCAN_COLUMNS, map(_scan_cells, scans))


def _count_scans(scans: Sequence[ScanRow]) -> str:
    """Count scans of one scanner, with the same shells and use."""
    kinds: dict[Cells, list[ScanRow]] = {}
    for scan in scans:
        kinds.setdefault((scan.scanner, scan.shells, _role_text(scan)), []).append(scan)
    return _format_kinds("Scans", SCAN_COLUMNS[1:], kinds)


def _format_excluded(scans: Sequence[ScanRow]) -> str:
    cells = [(scan.name, scan.reason) for scan in scans]
    return _format_table("Excluded", ("file", "reason"), cells)


def _count_excluded(scans: Sequence[ScanRow]) -> str:
    """Count files that are excluded for the same reason."""
    kinds: dict[Cells, list[ScanRow]] = {}
    for scan in scans:
        kinds.setdefault((scan.reason,), []).append(scan)
    return _format_kinds("Excluded", ("reason",), kinds)


def _format_kinds(title: str, header: Cells, kinds: Mapping[Cells, Sequence[ScanRow]]) -> str:
    """Show the most frequent kinds of scans, each with its number and an example."""
    ranked = sorted(kinds.items(), key=lambda item: -len(item[1]))
    rows = [(str(len(scans)), *cells, _short_name(scans[0])) for cells, scans in ranked]
    return _format_table(title, ("number", *header, "such as"), rows, MAX_KINDS)


def _scanner_cells(row: ScannerRow) -> Cells:
    return (
        row.label,
        row.manufacturer,
        row.model,
        row.serial,
        row.named_by,
        str(row.scans),
        str(row.subjects),
        "; ".join(row.conflicts),
    )


def _scan_cells(row: ScanRow) -> Cells:
    return _short_name(row), row.scanner, row.shells, _role_text(row)


def _short_name(row: ScanRow) -> str:
    """Return the name of a file without suffix and extension."""
    return row.name.split(".")[0].rsplit("_", 1)[0]


def _pair_cells(row: PairRow) -> Cells:
    labels = join_some(row.travelling, MAX_LISTED_SCANS, separator=" ")
    return row.name, str(len(row.travelling)), labels


def _role_text(row: ScanRow) -> str:
    """Write the role of a scan and, if it is not used or not harmonized, why."""
    if not row.reason:
        return row.role_text
    result = "not harmonized: " if row.roles else ""
    return f"{row.role_text}; {result}{row.reason}"


def _format_findings(findings: Sequence[Finding], *, is_complete: bool, limit: int | None) -> str:
    """List findings; those that say the same about several files are one, errors first."""
    lines = ["Findings"]
    groups = group_findings(findings)
    for group in groups[:limit]:
        lines.append(str(group))
        if is_complete and len(group.files) > 1:
            lines += [f"  {file}" for file in group.files]
    if not groups:
        lines.append("  none")
    elif limit and len(groups) > limit:
        lines.append(f"and {len(groups) - limit} more")
    return "\n".join(lines)


def _has_shared(findings: Sequence[Finding]) -> bool:
    """Return whether a finding is about several files."""
    return any(len(group.files) > 1 for group in group_findings(findings))


def _error_finding(error: ShresnetError) -> Finding:
    return Finding.error("the command line", str(error), "")


def _format_table(
    title: str, header: Cells, rows: Iterable[Cells], limit: int | None = None
) -> str:
    """Align the columns of a titled table, and count the rows beyond a limit."""
    rows = list(rows)
    if not rows:
        return f"{title}\n  none"
    shown = rows[:limit]
    widths = [max(map(len, column)) for column in zip(header, *shown, strict=True)]
    lines = [title]
    for row in (header, *shown):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(f"  {cells}".rstrip())
    if len(rows) > len(shown):
        lines.append(f"  and {len(rows) - len(shown)} more")
    return "\n".join(lines)
