"""Errors before and after, a line a subject; each point leads to the subject's report."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bids_shresnet.evaluation.statistics import QUANTITIES, TISSUES, HeldOutResult, subject_means
from bids_shresnet.report.style import (
    DARK,
    FAINT,
    FOLDER_UP,
    ORANGE,
    TISSUE_NAMES,
    WHITE,
    Drawing,
    figure_style,
    method_label,
    render_figure,
    style_axes,
)
from bids_shresnet.settings import NO_HARMONIZATION

STATE_COLOURS = (WHITE, ORANGE)  # before, after


def subject_page_name(subject: str) -> str:
    """Name of a subject's report, which lies beside that of the group."""
    return f"sub-{subject}.html"


def draw_subject_errors(
    rows: Sequence[HeldOutResult], method: str, pages: Collection[str]
) -> Drawing:
    """A panel a quantity and tissue; subjects with a report, one of `pages`, are links."""
    subjects = sorted({row.subject for row in rows}, reverse=True)  # the first one comes out on top
    with figure_style():
        figure = Figure(figsize=(11, 1.8 + 2 * 0.2 * max(4, len(subjects))), layout="constrained")
        panels = figure.subplots(len(TISSUES), len(QUANTITIES), sharey=True)
        for axes, (tissue, quantity) in zip(panels.flat, product(TISSUES, QUANTITIES), strict=True):
            before, after = (
                subject_means(rows, (name, tissue, quantity)) for name in (NO_HARMONIZATION, method)
            )
            _draw_endpoint_panel(axes, subjects, (before, after), pages)
            axes.set_title(f"{quantity}, {TISSUE_NAMES[tissue].lower()}", fontweight="bold")
        figure.legend(*_legend_entries(method), loc="outside lower center", ncols=2, frameon=False)
        caption = _caption(
            len(subjects), method, any(subject_page_name(name) in pages for name in subjects)
        )
        alt = f"Error before and after of {len(subjects)} held-out subjects"
        return render_figure(figure, "subjects", caption, alt, has_links=True)


def _draw_endpoint_panel(
    axes: Axes,
    subjects: Sequence[str],
    values: Sequence[Mapping[str, float]],
    pages: Collection[str],
) -> None:
    """A line from before to after in each subject's row."""
    rows = {subject: row for row, subject in enumerate(subjects)}
    before, after = values
    both = [subject for subject in subjects if subject in before and subject in after]
    axes.hlines(
        [rows[one] for one in both],
        [before[one] for one in both],
        [after[one] for one in both],
        color=FAINT,
        zorder=1,
    )
    for column, colour in zip(values, STATE_COLOURS, strict=True):
        names = list(column)
        heights = [rows[name] for name in names]
        dots = axes.scatter(
            list(column.values()), heights, s=42, color=colour, edgecolor=DARK, zorder=2
        )
        dots.set_urls(
            [
                FOLDER_UP + subject_page_name(n) if subject_page_name(n) in pages else None
                for n in names
            ]
        )
    axes.set_yticks(range(len(subjects)), [f"sub-{subject}" for subject in subjects])
    axes.set_ylim(-0.6, len(subjects) - 0.4)
    axes.set_xlim(
        0, 1.08 * max((error for column in values for error in column.values()), default=1)
    )
    axes.set_xlabel("NMSE (no unit)")
    style_axes(axes, "x")


def _legend_entries(method: str) -> tuple[list[Line2D], list[str]]:
    """What the two points of a line are."""
    shape: dict[str, Any] = {"marker": "o", "linestyle": "none", "markeredgecolor": DARK}
    return [Line2D([], [], color=colour, **shape) for colour in STATE_COLOURS], [
        method_label(NO_HARMONIZATION),
        method_label(method),
    ]


def _caption(n: int, method: str, has_links: bool) -> str:
    found = (
        "A point leads to the report on its subject."
        if has_links
        else "There were no reports on these subjects yet."
    )
    return (
        f"Error (NMSE) of each of {n} held-out subjects, as the scan came (white) and with {method_label(method)} (orange): "
        f"further left is better. {found}"
    )
