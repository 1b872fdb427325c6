"""Reading tables (.tsv): those of a dataset, as far as they name scanners, and our own."""

from __future__ import annotations

from pathlib import Path

from bids_shresnet.io.storage import NOT_AVAILABLE, read_tsv


def read_scanner_column(root: Path, column: str) -> dict[str, set[str]]:
    """Cells of a column of participants.tsv, sessions.tsv and scans.tsv, by `sub-..`, `sub-.._ses-..` and file name."""
    cells: dict[str, set[str]] = {}
    for name, row in read_dataset_tables(root):
        cell = (row.get(column) or "").strip()
        if cell not in ("", NOT_AVAILABLE):
            cells.setdefault(name, set()).add(cell)
    return cells


def read_dataset_tables(root: Path) -> list[tuple[str, dict[str, str]]]:
    """Rows of participants.tsv, sessions.tsv and scans.tsv, each with what it is of, as in `read_scanner_column`."""
    people, stays = [root / "participants.tsv"], sorted(root.glob("sub-*/sub-*_sessions.tsv"))
    scans = sorted([*root.glob("sub-*/sub-*_scans.tsv"), *root.glob("sub-*/ses-*/sub-*_scans.tsv")])
    kinds = ((people, "participant_id"), (stays, "session_id"), (scans, "filename"))
    rows = [
        (table, key, row)
        for tables, key in kinds
        for table in tables
        if table.is_file()
        for row in read_tsv(table)
    ]
    return [
        (_row_name(table, key, row[key].strip()), row)
        for table, key, row in rows
        if (row.get(key) or "").strip()
    ]


def _row_name(table: Path, key: str, name: str) -> str:
    """Write a row's key as in file names."""
    if key == "participant_id":
        return f"sub-{name.removeprefix('sub-')}"
    return (
        Path(name).name
        if key == "filename"
        else f"{table.parent.name}_ses-{name.removeprefix('ses-')}"
    )


def read_column(table: Path, key: str, column: str) -> dict[str, set[str]]:
    """Non-empty cells of a column, by the value of the key column; none where there is no such table or column."""
    if not table.is_file():
        return {}
    rows = read_tsv(table)
    cells: dict[str, set[str]] = {}
    for row in rows:
        name, cell = ((row.get(heading) or "").strip() for heading in (key, column))
        if name and cell not in ("", NOT_AVAILABLE):
            cells.setdefault(name, set()).add(cell)
    return cells
