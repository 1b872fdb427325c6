"""The output of --dry-run: tables for people, or one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bids_shresnet.errors import Finding
from bids_shresnet.outputs.runs.history import ScanRow
from bids_shresnet.planning.overview import Overview, PairRow, ScannerRow
from bids_shresnet.planning.plan import merge_findings

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


def render_json(overview: Overview) -> str:
    """Write scanners, scans, pairs and findings as JSON."""
    return json.dumps(asdict(overview), indent=2, ensure_ascii=False) + "\n"


def render_text(overview: Overview) -> str:
    """Write scanners, scans, pairs, excluded files and findings as tables."""
    usable = [scan for scan in overview.scans if scan.shells]
    excluded = [scan for scan in overview.scans if not scan.shells]
    blocks = [
        _format_table("Scanners", SCANNER_COLUMNS, list(map(_scanner_cells, overview.scanners))),
        _format_table(
            "Scans", ("scan", "scanner", "directions x b", "role"), list(map(_scan_cells, usable))
        ),
        _format_table(
            "Pairs", ("model", "travelling", "subjects"), list(map(_pair_cells, overview.pairs))
        ),
        _format_table(
            "Excluded", ("file", "reason"), [(scan.name, scan.reason) for scan in excluded]
        ),
        _format_findings(overview.findings),
    ]
    return "\n\n".join(blocks) + "\n"


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
    name = Path(row.file).name.split(".")[0].rsplit("_", 1)[0]
    return name, row.scanner, row.shells, _role_text(row)


def _pair_cells(row: PairRow) -> Cells:
    return row.name, str(len(row.travelling)), " ".join(row.travelling)


def _role_text(row: ScanRow) -> str:
    """Write the role of a scan and, if it is not harmonized, why."""
    if not row.reason:
        return row.role_text
    reason = f"not harmonized: {row.reason}"
    return f"{row.role_text}; {reason}" if row.roles else reason


def _format_findings(findings: Sequence[Finding]) -> str:
    """List findings; those that say the same about several files are merged."""
    lines = list(map(str, merge_findings(findings))) or ["  none"]
    return "\n".join(["Findings", *lines])


def _format_table(title: str, header: Cells, rows: Sequence[Cells]) -> str:
    """Align the columns of a titled table."""
    if not rows:
        return f"{title}\n  none"
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [title]
    for row in (header, *rows):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(f"  {cells}".rstrip())
    return "\n".join(lines)
