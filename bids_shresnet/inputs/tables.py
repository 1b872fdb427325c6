"""Tables of a dataset and of the user: scanners and labels by name."""

from __future__ import annotations

from pathlib import Path

from bids_shresnet.io.storage import NOT_AVAILABLE, read_tsv

# Tables of a dataset, and the column that says what a row is about
DATASET_TABLES = {
    "participants.tsv": "participant_id",
    "sub-*/sub-*_sessions.tsv": "session_id",
    "sub-*/sub-*_scans.tsv": "filename",
    "sub-*/ses-*/sub-*_scans.tsv": "filename",
}


def read_scanner_column(root: Path, column: str) -> dict[str, set[str]]:
    """Read a column of participants.tsv, sessions.tsv and scans.tsv.

    Returns its cells by `sub-..`, `sub-.._ses-..` and file name.
    """
    cells: dict[str, set[str]] = {}
    for pattern, key in DATASET_TABLES.items():
        for table in sorted(root.glob(pattern)):
            for name, values in read_column(table, key, column).items():
                cells.setdefault(_row_name(table, key, name), set()).update(values)
    return cells


def read_column(table: Path, key: str, column: str) -> dict[str, set[str]]:
    """Read the cells of a column, by the value of the key column.

    Empty and missing cells are left out. Without the table or the columns, the result is empty.
    """
    if not table.is_file():
        return {}
    cells: dict[str, set[str]] = {}
    for row in read_tsv(table):
        name = (row.get(key) or "").strip()
        cell = (row.get(column) or "").strip()
        if name and cell not in ("", NOT_AVAILABLE):
            cells.setdefault(name, set()).add(cell)
    return cells


def _row_name(table: Path, key: str, name: str) -> str:
    """Write the name of a row as in file names."""
    if key == "participant_id":
        return f"sub-{name.removeprefix('sub-')}"
    if key == "session_id":
        return f"{table.parent.name}_ses-{name.removeprefix('ses-')}"
    return Path(name).name
