"""index.html: all scans in one table, with outliers, and their numbers by scanner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from bids_shresnet.io.storage import read_tsv, write_text
from bids_shresnet.outputs.group_qc import GROUP_QC, TARGET_ROLE
from bids_shresnet.outputs.group_scalars import AFTER, DENOISED, GROUP_SCALARS
from bids_shresnet.outputs.ratings import write_group_ratings
from bids_shresnet.outputs.sidecars import package_versions
from bids_shresnet.report.figures.scan_values import (
    ScanValue,
    draw_scan_quality,
    draw_scan_values,
)
from bids_shresnet.report.figures.subjects import subject_page_name
from bids_shresnet.report.index_rows import (
    COLUMNS,
    COUNT_COLUMNS,
    IndexRow,
    read_index_rows,
    read_number,
    read_session,
)
from bids_shresnet.report.outliers import MIN_SCANS_FOR_OUTLIERS
from bids_shresnet.report.page import render_page
from bids_shresnet.report.style import inline_svg

INDEX_PAGE = "index.html"
QUALITY_COLUMNS = ("novel_fraction", "noise_level", "implausible_md")
MAP_COLUMNS = tuple(name for name in COLUMNS if name not in QUALITY_COLUMNS)


@dataclass(frozen=True)
class IndexContent:
    """What the page shows.

    Attributes
    ----------
    values
        Means of FA and MD, before and after harmonization.
    """

    rows: Sequence[IndexRow]
    values: Sequence[ScanValue]


def write_index(root: Path) -> None:
    """Collect the ratings, and write the page if any scan is in the output."""
    ratings = write_group_ratings(root)
    if not (root / f"{GROUP_QC}.tsv").exists():
        return
    content = IndexContent(read_index_rows(root, ratings), read_scan_values(root))
    pages = frozenset(path.name for path in root.glob("*.html"))
    write_text(root / INDEX_PAGE, render_index(content, pages))


def render_index(content: IndexContent, pages: frozenset[str]) -> str:
    """Return the page; `pages` are the names of those that exist."""
    quality = quality_values(content.rows)
    return render_page(
        "index.html.jinja",
        rows=content.rows,
        columns=COLUMNS,
        counts=COUNT_COLUMNS,
        figure=draw_scan_values(content.values, pages) if content.values else None,
        quality=draw_scan_quality(quality, pages) if quality else None,
        inline=inline_svg,
        pages=pages,
        subject_page=subject_page_name,
        min_scans=MIN_SCANS_FOR_OUTLIERS,
        about=package_versions(),
    )


def read_scan_values(root: Path) -> list[ScanValue]:
    """Read the tissue means of all scans; empty if there are none."""
    table = root / f"{GROUP_SCALARS}.tsv"
    rows = read_tsv(table) if table.exists() else []
    targets = {row["target"] for row in rows}
    values = []
    for row in rows:
        is_shown = row["seg"] == "tissue" and row["stage"] != DENOISED
        is_mean = _map_column(row) in MAP_COLUMNS
        is_target = row["batch"] in targets
        if is_shown and is_mean and (row["stage"] == AFTER or not is_target):
            values.append(_scan_value(row, TARGET_ROLE if is_target else row["stage"]))
    order = [COLUMNS[name][0] for name in MAP_COLUMNS]
    return sorted(values, key=lambda value: order.index(value.panel))


def quality_values(rows: Sequence[IndexRow]) -> list[ScanValue]:
    """Return the numbers that tell a bad scan, where they are known."""
    return [
        ScanValue(
            subject=row.subject,
            session=row.session,
            scanner=row.scanner,
            stage=row.role,
            panel=COLUMNS[name][0],
            value=row.values[name],
        )
        for name in QUALITY_COLUMNS
        for row in rows
        if isfinite(row.values[name])
    ]


def _map_column(row: Mapping[str, str]) -> str:
    """Name the column of group_qc.tsv that holds the same mean."""
    return f"{row['region']}_{row['measure']}".lower()


def _scan_value(row: Mapping[str, str], stage: str) -> ScanValue:
    title, factor = COLUMNS[_map_column(row)]
    return ScanValue(
        subject=row["participant_id"].removeprefix("sub-"),
        session=read_session(row),
        scanner=row["batch"],
        stage=stage,
        panel=title,
        value=factor * read_number(row["value"]),
    )
