"""Reading tables (.tsv): those of a dataset, as far as they name scanners, and our own."""

from __future__ import annotations

import csv
from pathlib import Path

from bids_shresnet.files.storage import MISSING


def read_scanner_column(root: Path, column: str) -> dict[str, set[str]]:
    """Cells of a column of participants.tsv, sessions.tsv and scans.tsv, by `sub-..`, `sub-.._ses-..` and file name."""
    people = read_column(root / "participants.tsv", "participant_id", column)
    cells = {f"sub-{key.removeprefix('sub-')}": cell for key, cell in people.items()}
    for table in sorted(root.glob("sub-*/sub-*_sessions.tsv")):
        sessions = read_column(table, "session_id", column)
        cells |= {f"{table.parent.name}_ses-{key.removeprefix('ses-')}": cell for key, cell in sessions.items()}
    for table in sorted([*root.glob("sub-*/sub-*_scans.tsv"), *root.glob("sub-*/ses-*/sub-*_scans.tsv")]):
        cells |= {Path(key).name: cell for key, cell in read_column(table, "filename", column).items()}
    return cells


def read_column(table: Path, key: str, column: str) -> dict[str, set[str]]:
    """Non-empty cells of a column, by the value of the key column; none where there is no such table or column."""
    if not table.is_file():
        return {}
    rows = read_tsv(table)
    cells: dict[str, set[str]] = {}
    for row in rows:
        name, cell = ((row.get(heading) or "").strip() for heading in (key, column))
        if name and cell not in ("", MISSING):
            cells.setdefault(name, set()).add(cell)
    return cells


def read_tsv(table: Path) -> list[dict[str, str]]:
    """All rows of a table, as text by heading."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))
