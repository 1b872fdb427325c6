"""Tables of a dataset and of the user: scanners and labels by name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.io.storage import NOT_AVAILABLE, read_tsv

# Tables of a dataset, and the column that says what a row is about
DATASET_TABLES = {
    "participants.tsv": "participant_id",
    "sub-*/sub-*_sessions.tsv": "session_id",
    "sub-*/sub-*_scans.tsv": "filename",
    "sub-*/ses-*/sub-*_scans.tsv": "filename",
}


# A row: its cells by column, without those that are empty or n/a
Row = dict[str, str]


def read_dataset_rows(root: Path) -> tuple[list[tuple[str, Row]], list[Finding]]:
    """Read participants.tsv, sessions.tsv and scans.tsv.

    Returns each row with its name (`sub-..`, `sub-.._ses-..` or a file name), and the tables that
    cannot be read.
    """
    rows = []
    findings: list[Finding] = []
    for pattern, key in DATASET_TABLES.items():
        for table in sorted(root.glob(pattern)):
            try:
                named_rows = _read_named_rows(table, key)
            except BadInput as error:
                findings += error.findings
                continue
            rows += [(_row_name(table, key, name), row) for name, row in named_rows]
    return rows, findings


def read_column(table: Path, key: str, column: str) -> dict[str, set[str]]:
    """Read the cells of a column, by the value of the key column.

    Empty and missing cells are skipped. Without the table or the columns, the result is empty.

    Raises
    ------
    BadInput
        If the table cannot be read.
    """
    return group_cells(_read_named_rows(table, key), column)


def group_cells(rows: Iterable[tuple[str, Row]], column: str) -> dict[str, set[str]]:
    """Group the cells of a column by the names of their rows."""
    cells: dict[str, set[str]] = {}
    for name, row in rows:
        if column in row:
            cells.setdefault(name, set()).add(row[column])
    return cells


def _read_named_rows(table: Path, key: str) -> list[tuple[str, Row]]:
    """Read the rows that have a value in the key column, each with this value.

    A table that does not exist has no rows.
    """
    rows = []
    for cells in read_tsv(table) if table.exists() else ():
        named_cells = ((column, cell) for column, cell in cells.items() if column and cell)
        row = {column: cell.strip() for column, cell in named_cells}
        row = {column: cell for column, cell in row.items() if cell not in ("", NOT_AVAILABLE)}
        if key in row:
            rows.append((row[key], row))
    return rows


def _row_name(table: Path, key: str, name: str) -> str:
    """Write the name of a row as in file names."""
    if key == "participant_id":
        return f"sub-{name.removeprefix('sub-')}"
    if key == "session_id":
        return f"{table.parent.name}_ses-{name.removeprefix('ses-')}"
    return Path(name).name
