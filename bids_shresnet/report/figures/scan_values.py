"""Numbers of every scan by scanner: FA and MD before and after, and the quality of the scans."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_shresnet.report.figures.point_notes import PointNote, note_points, write_notes
from bids_shresnet.report.figures.subjects import note_subject
from bids_shresnet.report.outliers import find_outliers
from bids_shresnet.report.style import (
    DARK,
    GREEN,
    ORANGE,
    WHITE,
    Drawing,
    figure_style,
    render_figure,
    style_axes,
)

STAGE_COLOURS = {"before": WHITE, "after": ORANGE, "harmonized": ORANGE, "target": GREEN}
LABEL_CHARACTERS = 12  # of a scanner's label in one line
MAX_UPRIGHT_LABELS = 12  # of all panels in a row
MAX_NAMES = 5  # of outliers in a column
NAME_HEIGHT = 0.06  # of a panel
JITTER = 0.18  # half the width of a column of points
PANEL_HEIGHT = 3.25  # inches
POINTS_CAPTION = (
    "The line is the median. Outliers are named (at most five per column). Under the pointer, a "
    "point shows its scan and value; it links to the page of its subject."
)


@dataclass(frozen=True)
class ScanValue:
    """A number of one scan.

    Attributes
    ----------
    stage
        "before" or "after", "harmonized" for both, or "target" for a scan of the target scanner.
    panel
        What the number is, with its unit.
    """

    subject: str
    session: str
    scanner: str
    stage: str
    panel: str
    value: float

    @property
    def name(self) -> str:
        """Subject and session."""
        session = f" ses-{self.session}" if self.session else ""
        return f"sub-{self.subject}{session}"


def draw_scan_values(values: Sequence[ScanValue], pages: Collection[str]) -> Drawing:
    """Draw means of FA and MD, before and after, as two rows of panels."""
    count = _count_scans(values)
    caption = (
        f"Mean over a tissue of {count} scans, by scanner: as measured (white), harmonized "
        "(orange), and scans of the target scanner (green), which are not changed. After "
        f"harmonization the columns should agree. {POINTS_CAPTION}"
    )
    alt = f"FA and MD of {count} scans by scanner, before and after harmonization"
    return _draw_strips("scans", values, pages, caption, alt, columns=2)


def draw_scan_quality(values: Sequence[ScanValue], pages: Collection[str]) -> Drawing:
    """Draw what tells a bad scan, as one row of panels."""
    panels = list(dict.fromkeys(value.panel for value in values))
    count = _count_scans(values)
    caption = (
        f"Quality of {count} scans, by scanner: those that are harmonized (orange), and scans "
        "of the target scanner (green), whose novelty is not measured. High values point to "
        f"motion, artefacts, lesions or a bad brain mask. {POINTS_CAPTION}"
    )
    alt = f"Quality of {count} scans by scanner"
    return _draw_strips("quality", values, pages, caption, alt, columns=len(panels))


def _count_scans(values: Sequence[ScanValue]) -> int:
    return len({(value.subject, value.session, value.scanner) for value in values})


def _draw_strips(
    name: str,
    values: Sequence[ScanValue],
    pages: Collection[str],
    caption: str,
    alt: str,
    *,
    columns: int,
) -> Drawing:
    """Draw one panel per kind of number, in the order of the values."""
    titles = list(dict.fromkeys(value.panel for value in values))
    rows = -(-len(titles) // columns)
    with figure_style():
        figure = Figure(figsize=(11, PANEL_HEIGHT * rows), layout="constrained")
        for number, title in enumerate(titles, 1):
            axes = figure.add_subplot(rows, columns, number)
            _draw_panel(axes, [value for value in values if value.panel == title], pages, columns)
            axes.set_title(title, fontweight="bold")
        return write_notes(render_figure(figure, name, caption, alt))


def _draw_panel(
    axes: Axes, values: Sequence[ScanValue], pages: Collection[str], panels_in_row: int
) -> None:
    columns = _group_by_column(values)
    for position, points in enumerate(columns.values()):
        _draw_column(axes, position, points, pages)
    for position, points in enumerate(columns.values()):  # now the panel's height is known
        _name_outliers(axes, position, points)
    labels = [f"{stage}\n{fill(scanner, LABEL_CHARACTERS)}" for scanner, stage in columns]
    rotation = 0 if len(columns) * panels_in_row <= MAX_UPRIGHT_LABELS else 90
    axes.set_xticks(range(len(columns)), labels, rotation=rotation)
    axes.set_xlim(-0.6, len(columns) - 0.4)
    style_axes(axes, "y")


def _group_by_column(values: Sequence[ScanValue]) -> dict[tuple[str, str], list[ScanValue]]:
    """Group by scanner and stage, in the order of the columns."""
    columns: dict[tuple[str, str], list[ScanValue]] = {}
    for value in values:
        columns.setdefault((value.scanner, value.stage), []).append(value)
    return {column: columns[column] for column in sorted(columns, key=_column_order)}


def _column_order(column: tuple[str, str]) -> tuple[bool, str, int]:
    """Sort by scanner, the target last, and by stage."""
    scanner, stage = column
    return stage == "target", scanner, list(STAGE_COLOURS).index(stage)


def _draw_column(
    axes: Axes, position: int, points: Sequence[ScanValue], pages: Collection[str]
) -> None:
    """Draw the points of a scanner beside each other, and their median."""
    heights = [point.value for point in points]
    places = _places(position, len(points))
    colour = STAGE_COLOURS[points[0].stage]
    dots = axes.scatter(places, heights, s=30, color=colour, edgecolor=DARK, zorder=2)
    note_points(dots, [_describe_point(point, pages) for point in points])
    median = float(np.median(heights))
    axes.hlines(median, position - 0.35, position + 0.35, color=DARK, linewidth=2, zorder=1)


def _name_outliers(axes: Axes, position: int, points: Sequence[ScanValue]) -> None:
    """Write names beside outliers; of those at one height, one above the other."""
    heights = [point.value for point in points]
    places = _places(position, len(points))
    low, high = axes.get_ylim()
    lowest = low
    for number in sorted(_numbers_to_name(heights), key=lambda number: heights[number]):
        place = (places[number], max(heights[number], lowest))
        offset: Any = {"xytext": (5, 0), "textcoords": "offset points", "annotation_clip": False}
        axes.annotate(points[number].name, place, **offset, va="center", fontsize=7)
        lowest = place[1] + NAME_HEIGHT * (high - low)


def _places(position: int, count: int) -> list[float]:
    """Spread points over the width of their column."""
    shifts = np.linspace(-JITTER, JITTER, count) if count > 1 else np.zeros(1)
    return [float(position + shift) for shift in shifts]


def _describe_point(point: ScanValue, pages: Collection[str]) -> PointNote:
    text = f"{point.name}, {point.scanner}, {point.stage}: {point.value:.3g}"
    return note_subject(text, point.subject, pages)


def _numbers_to_name(heights: Sequence[float]) -> list[int]:
    """Choose the outliers that are furthest from the median."""
    median = float(np.median(heights))
    outliers = [number for number, is_odd in enumerate(find_outliers(heights)) if is_odd]
    return sorted(outliers, key=lambda number: -abs(heights[number] - median))[:MAX_NAMES]
