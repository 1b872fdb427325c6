"""FA and MD of every scan by scanner: before, after, and of the target scanner itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import product
from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_shresnet.evaluation.results import MAP_QUANTITIES, TISSUES
from bids_shresnet.report.figures.subjects import subject_page_name
from bids_shresnet.report.style import (
    DARK,
    DISPLAY_FACTORS,
    FOLDER_UP,
    GREEN,
    ORANGE,
    WHITE,
    Drawing,
    figure_style,
    render_figure,
    style_axes,
    tissue_name,
)

STAGE_COLOURS = {"before": WHITE, "after": ORANGE, "target": GREEN}
LABEL_CHARACTERS = 12  # of a scanner's label in one line
MAX_UPRIGHT_LABELS = 6  # side by side in a panel
JITTER = 0.18  # half the width of a column of points
CAPTION = (
    "Mean over a tissue of the scans of {count} subjects and scanners, by scanner: as measured "
    "(white), harmonized (orange), and scans of the target scanner (green), which are not changed. "
    "After harmonization the columns should agree. The line is the median. A point links to the "
    "page of its subject."
)


@dataclass(frozen=True)
class ScanValue:
    """Mean of FA or MD (mm2/s) over a tissue of one scan.

    Attributes
    ----------
    stage
        "before", "after", or "target" for a scan of the target scanner.
    """

    subject: str
    scanner: str
    stage: str
    tissue: str
    quantity: str
    value: float


def draw_scan_values(values: Sequence[ScanValue], pages: Collection[str]) -> Drawing:
    """Draw one panel per quantity and tissue, and one column per scanner and stage."""
    keys = {(value.scanner, value.stage) for value in values}
    columns = sorted(keys, key=_column_order)
    count = len({(value.subject, value.scanner) for value in values})
    with figure_style():
        figure = Figure(figsize=(11, 6.5), layout="constrained")
        panels = figure.subplots(len(MAP_QUANTITIES), len(TISSUES), sharex=True)
        for axes, endpoint in zip(panels.flat, product(MAP_QUANTITIES, TISSUES), strict=True):
            quantity, tissue = endpoint
            selected = [item for item in values if (item.quantity, item.tissue) == endpoint]
            _draw_panel(axes, selected, columns, pages)
            unit = " (10⁻³ mm²/s)" if quantity == "MD" else ""
            axes.set_title(f"{quantity}{unit}, {tissue_name(tissue)}", fontweight="bold")
        alt = f"FA and MD of {count} scans by scanner, before and after harmonization"
        caption = CAPTION.format(count=count)
        return render_figure(figure, "scans", caption, alt, has_links=True)


def _column_order(column: tuple[str, str]) -> tuple[bool, str, int]:
    """Sort by scanner, the target last, and by stage."""
    scanner, stage = column
    return stage == "target", scanner, list(STAGE_COLOURS).index(stage)


def _draw_panel(
    axes: Axes,
    values: Sequence[ScanValue],
    columns: Sequence[tuple[str, str]],
    pages: Collection[str],
) -> None:
    for position, (scanner, stage) in enumerate(columns):
        points = [item for item in values if (item.scanner, item.stage) == (scanner, stage)]
        _draw_column(axes, position, points, pages)
    labels = [f"{stage}\n{fill(scanner, LABEL_CHARACTERS)}" for scanner, stage in columns]
    rotation = 0 if len(columns) <= MAX_UPRIGHT_LABELS else 90
    axes.set_xticks(range(len(columns)), labels, rotation=rotation)
    axes.set_xlim(-0.6, len(columns) - 0.4)
    style_axes(axes, "y")


def _draw_column(
    axes: Axes, position: int, points: Sequence[ScanValue], pages: Collection[str]
) -> None:
    """Draw the points of a scanner beside each other, and their median."""
    if not points:
        return
    factor = DISPLAY_FACTORS[points[0].quantity]
    heights = [factor * point.value for point in points]
    shifts = np.linspace(-JITTER, JITTER, len(points)) if len(points) > 1 else np.zeros(1)
    colour = STAGE_COLOURS[points[0].stage]
    dots = axes.scatter(position + shifts, heights, s=30, color=colour, edgecolor=DARK, zorder=2)
    names = [subject_page_name(point.subject) for point in points]
    dots.set_urls([FOLDER_UP + name if name in pages else None for name in names])
    median = float(np.median(heights))
    axes.hlines(median, position - 0.35, position + 0.35, color=DARK, linewidth=2, zorder=1)
