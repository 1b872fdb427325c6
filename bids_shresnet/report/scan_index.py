"""index.html: all scans in one table, with outliers, and FA and MD by scanner."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_shresnet.io.storage import NOT_AVAILABLE, read_tsv, write_text
from bids_shresnet.outputs.group_qc import GROUP_QC, TARGET_ROLE
from bids_shresnet.outputs.group_scalars import AFTER, DENOISED, GROUP_SCALARS
from bids_shresnet.outputs.ratings import write_group_ratings
from bids_shresnet.outputs.sidecars import package_versions
from bids_shresnet.report.figures.scan_values import ScanValue, draw_scan_values
from bids_shresnet.report.figures.subjects import subject_page_name
from bids_shresnet.report.page import render_page
from bids_shresnet.report.style import inline_svg

INDEX_PAGE = "index.html"
# Modified z-score from which a value is an outlier (Iglewicz and Hoaglin 1993)
MAX_MODIFIED_Z_SCORE = 3.5
MEDIAN_TO_SD = 0.6745  # median absolute deviation of a normal distribution, in its SD
MIN_SCANS_FOR_OUTLIERS = 5  # of one scanner
COLUMNS: Mapping[str, tuple[str, float]] = {  # title and factor of what can be an outlier
    "wm_fa": ("FA, white matter", 1),
    "gm_fa": ("FA, grey matter", 1),
    "wm_md": ("MD, white matter (10⁻³ mm²/s)", 1000),
    "gm_md": ("MD, grey matter (10⁻³ mm²/s)", 1000),
    "novel_fraction": ("Out of distribution (%)", 100),
    "noise_level": ("Noise (% of S0)", 100),
}


@dataclass(frozen=True)
class IndexRow:
    """A scan of the analysis set.

    Attributes
    ----------
    values
        Displayed numbers by the column of group_qc.tsv; NaN where one is not known.
    outliers
        Columns in which the scan is an outlier among those of its scanner.
    ratings
        Results that raters have given to the subject.
    """

    file: str
    subject: str
    scanner: str
    role: str
    values: Mapping[str, float]
    outliers: frozenset[str]
    ratings: tuple[str, ...]


def write_index(root: Path) -> None:
    """Collect the ratings, and write the page if any scan is in the output."""
    ratings = write_group_ratings(root)
    table = root / f"{GROUP_QC}.tsv"
    if not table.exists():
        return
    rows = make_index_rows(read_tsv(table), ratings)
    pages = frozenset(path.name for path in root.glob("*.html"))
    write_text(root / INDEX_PAGE, render_index(rows, read_scan_values(root), pages))


def render_index(
    rows: Sequence[IndexRow], values: Sequence[ScanValue], pages: frozenset[str]
) -> str:
    """Return the page; `pages` are the names of those that exist."""
    return render_page(
        "index.html.jinja",
        rows=rows,
        columns=COLUMNS,
        figure=draw_scan_values(values, pages) if values else None,
        inline=inline_svg,
        pages=pages,
        subject_page=subject_page_name,
        min_scans=MIN_SCANS_FOR_OUTLIERS,
        about=package_versions(),
    )


def make_index_rows(
    table: Sequence[Mapping[str, str]], ratings: Iterable[Mapping[str, str]]
) -> list[IndexRow]:
    """Make a row for each row of group_qc.tsv."""
    results: dict[str, list[str]] = {}
    for rating in ratings:
        results.setdefault(rating["participant_id"], []).append(rating["rating"])
    marked = zip(table, _find_table_outliers(table), strict=True)
    return [_make_row(row, outliers, results) for row, outliers in marked]


def _make_row(
    row: Mapping[str, str], outliers: Collection[str], ratings: Mapping[str, Sequence[str]]
) -> IndexRow:
    return IndexRow(
        file=row["file"],
        subject=row["participant_id"].removeprefix("sub-"),
        scanner=row["scanner"],
        role=row["role"],
        values={name: factor * _number(row[name]) for name, (_, factor) in COLUMNS.items()},
        outliers=frozenset(outliers),
        ratings=tuple(ratings.get(row["participant_id"], ())),
    )


def find_outliers(values: Sequence[float]) -> list[bool]:
    """Mark values far from the median, by their modified z-score; NaN is none.

    Fewer values than `MIN_SCANS_FOR_OUTLIERS`, or mostly equal ones, have no outlier.
    """
    known = np.array(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if len(known) < MIN_SCANS_FOR_OUTLIERS:
        return [False] * len(values)
    median = np.median(known)
    deviation = np.median(np.abs(known - median))
    if deviation == 0:
        return [False] * len(values)
    limit = MAX_MODIFIED_Z_SCORE * deviation / MEDIAN_TO_SD
    return [bool(abs(value - median) > limit) for value in values]


def read_scan_values(root: Path) -> list[ScanValue]:
    """Read the tissue means of all scans; empty if there are none."""
    table = root / f"{GROUP_SCALARS}.tsv"
    rows = read_tsv(table) if table.exists() else []
    targets = {row["target"] for row in rows}
    values = []
    for row in rows:
        is_shown = row["seg"] == "tissue" and row["stage"] != DENOISED
        is_mean = row["measure"] in ("fa", "md") and row["region"] in ("WM", "GM")
        is_target = row["batch"] in targets
        if is_shown and is_mean and (row["stage"] == AFTER or not is_target):
            values.append(_scan_value(row, TARGET_ROLE if is_target else row["stage"]))
    return values


def _scan_value(row: Mapping[str, str], stage: str) -> ScanValue:
    return ScanValue(
        subject=row["participant_id"].removeprefix("sub-"),
        scanner=row["batch"],
        stage=stage,
        tissue=row["region"],
        quantity=row["measure"].upper(),
        value=_number(row["value"]),
    )


def _find_table_outliers(table: Sequence[Mapping[str, str]]) -> list[set[str]]:
    """Find the columns in which each row is an outlier among the scans of its scanner."""
    outliers: list[set[str]] = [set() for _ in table]
    for scanner in {row["scanner"] for row in table}:
        numbers = [number for number, row in enumerate(table) if row["scanner"] == scanner]
        for name in COLUMNS:
            marks = find_outliers([_number(table[number][name]) for number in numbers])
            for number, is_marked in zip(numbers, marks, strict=True):
                if is_marked:
                    outliers[number].add(name)
    return outliers


def _number(cell: str) -> float:
    return float("nan") if cell == NOT_AVAILABLE else float(cell)
