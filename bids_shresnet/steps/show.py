"""What --dry-run shows: scanners, scans and their roles, pairs, what is left out and what was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bids_shresnet.diffusion.gradients import find_shells
from bids_shresnet.scans import Inventory, Pair, Scan, Selection

Row = tuple[str, ...]


def table(inventory: Inventory, pairs: Sequence[Pair], selection: Selection) -> str:
    """Everything that was found and what would be done with it, as plain text."""
    blocks = (
        _block(
            "Scanners",
            ("label", "manufacturer", "model", "serial", "named by", "scans", "subjects"),
            _scanner_rows(inventory),
        ),
        _block(
            "Scans",
            ("scan", "scanner", "directions x b", "role"),
            [(s.name, s.scanner_label, _shells(s), _role(s, pairs, selection)) for s in inventory.scans],
        ),
        _block(
            "Pairs",
            ("model", "travelling", "subjects"),
            [(p.name, str(len(p.travelling)), " ".join(s.subject for s, _ in p.travelling)) for p in pairs],
        ),
        _block("Left out", ("file", "reason"), [(item.file.name, item.reason) for item in inventory.left_out]),
        "\n".join(["Findings", *([str(finding) for finding in inventory.findings] or ["  none"])]),
    )
    return "\n\n".join(blocks) + "\n"


def _scanner_rows(inventory: Inventory) -> list[Row]:
    """Each scanner, and how many scans of how many subjects are of it."""
    rows: list[Row] = []
    for label, scanner in inventory.scanners.items():
        scans = inventory.scans_on(label)
        counts = (str(len(scans)), str(len({scan.subject for scan in scans})))
        rows.append((label, scanner.manufacturer, scanner.model, scanner.serial, scanner.evidence, *counts))
    return rows


def _shells(scan: Scan) -> str:
    """Directions by shell, e.g. "50 x 1000 + 50 x 2000"."""
    shells = find_shells(np.array(scan.bvals))
    return " + ".join(f"{shell.volumes.size} x {round(shell.bvalue)}" for shell in shells)


def _role(scan: Scan, pairs: Sequence[Pair], selection: Selection) -> str:
    """Say what a scan is used for."""
    travelling = [both for pair in pairs for both in pair.travelling]
    roles = {
        "travelling source": any(source is scan for source, _ in travelling),
        "travelling target": any(target is scan for _, target in travelling),
        "to harmonize": any(selected is scan for selected in selection.scans),
    }
    reasons = [f"not harmonized: {item.reason}" for item in selection.left_out if item.file == scan.image]
    return "; ".join([role for role, holds in roles.items() if holds] + reasons) or "not used"


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
