"""What --dry-run prints: tables for people, or one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bids_shresnet.outputs.history import ScanRow
from bids_shresnet.planning.checks.dwi_files import merge_findings
from bids_shresnet.planning.overview import Overview, ScannerRow

Cells = tuple[str, ...]


def render_json(overview: Overview) -> str:
    """Everything as JSON: scanners, scans, pairs and findings."""
    return json.dumps(asdict(overview), indent=2, ensure_ascii=False) + "\n"


def render_text(overview: Overview) -> str:
    """Everything as plain text; files that are not usable come apart, and findings that say the same are joined."""
    usable = [scan for scan in overview.scans if scan.shells]
    blocks = (
        _format_table(
            "Scanners",
            (
                "label",
                "manufacturer",
                "model",
                "serial",
                "named by",
                "scans",
                "subjects",
                "conflicts",
            ),
            [_scanner_cells(scanner) for scanner in overview.scanners],
        ),
        _format_table(
            "Scans",
            ("scan", "scanner", "directions x b", "role"),
            [(_scan_name(scan), scan.scanner, scan.shells, _role_text(scan)) for scan in usable],
        ),
        _format_table(
            "Pairs",
            ("model", "travelling", "subjects"),
            [
                (pair.name, str(len(pair.travelling)), " ".join(pair.travelling))
                for pair in overview.pairs
            ],
        ),
        _format_table(
            "Excluded",
            ("file", "reason"),
            [(Path(scan.file).name, scan.reason) for scan in overview.scans if not scan.shells],
        ),
        "\n".join(
            [
                "Findings",
                *([str(finding) for finding in merge_findings(overview.findings)] or ["  none"]),
            ]
        ),
    )
    return "\n\n".join(blocks) + "\n"


def _scanner_cells(row: ScannerRow) -> Cells:
    """Cells of a scanner."""
    counts = (str(row.scans), str(row.subjects))
    return (
        row.label,
        row.manufacturer,
        row.model,
        row.serial,
        row.named_by,
        *counts,
        "; ".join(row.conflicts),
    )


def _scan_name(scan: ScanRow) -> str:
    """File name without suffix and extension."""
    return Path(scan.file).name.split(".")[0].rsplit("_", 1)[0]


def _role_text(scan: ScanRow) -> str:
    """Role and, where a scan is not harmonized, why."""
    if not scan.reason:
        return scan.role_text
    note = f"not harmonized: {scan.reason}"
    return f"{scan.role_text}; {note}" if scan.roles else note


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
