"""What --dry-run prints: tables for people, or one JSON document for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bids_shresnet.outputs.history import ScanRow
from bids_shresnet.planning.checks.series import joined
from bids_shresnet.planning.overview import Overview, ScannerRow

Row = tuple[str, ...]


def document(found: Overview) -> str:
    """Everything as JSON: scanners, scans, pairs and findings."""
    return json.dumps(asdict(found), indent=2, ensure_ascii=False) + "\n"


def table(found: Overview) -> str:
    """Everything as plain text; files that are not usable come apart, and findings that say the same are joined."""
    usable = [scan for scan in found.scans if scan.shells]
    blocks = (
        _block(
            "Scanners",
            ("label", "manufacturer", "model", "serial", "named by", "scans", "subjects", "doubts"),
            [_scanner(scanner) for scanner in found.scanners],
        ),
        _block(
            "Scans",
            ("scan", "scanner", "directions x b", "role"),
            [(_name(scan), scan.scanner, scan.shells, _role(scan)) for scan in usable],
        ),
        _block(
            "Pairs",
            ("model", "travelling", "subjects"),
            [(pair.name, str(len(pair.travelling)), " ".join(pair.travelling)) for pair in found.pairs],
        ),
        _block(
            "Left out",
            ("file", "reason"),
            [(Path(scan.file).name, scan.reason) for scan in found.scans if not scan.shells],
        ),
        "\n".join(["Findings", *([str(finding) for finding in joined(found.findings)] or ["  none"])]),
    )
    return "\n\n".join(blocks) + "\n"


def _scanner(row: ScannerRow) -> Row:
    """Cells of a scanner."""
    counts = (str(row.scans), str(row.subjects))
    return (row.label, row.manufacturer, row.model, row.serial, row.evidence, *counts, "; ".join(row.conflicts))


def _name(scan: ScanRow) -> str:
    """File name without suffix and extension."""
    return Path(scan.file).name.split(".")[0].rsplit("_", 1)[0]


def _role(scan: ScanRow) -> str:
    """Role and, where a scan is not harmonized, why."""
    if not scan.reason:
        return scan.role
    return (
        f"not harmonized: {scan.reason}" if scan.role == "left out" else f"{scan.role}; not harmonized: {scan.reason}"
    )


def _block(title: str, header: Row, rows: Sequence[Row]) -> str:
    """Align the columns of a titled table."""
    if not rows:
        return f"{title}\n  none"
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [title]
    for row in (header, *rows):
        cells = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        lines.append(f"  {cells}".rstrip())
    return "\n".join(lines)
