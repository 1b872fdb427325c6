"""Errors before and after, a line a subject; each point leads to the subject's report."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bids_shresnet.evaluation.statistics import QUANTITIES, TISSUES, HeldOut, by_subject
from bids_shresnet.report.style import (
    DARK,
    FAINT,
    FOLDER_UP,
    ORANGE,
    TISSUE_NAMES,
    WHITE,
    Drawing,
    draw,
    label,
    style,
    tidy,
)
from bids_shresnet.settings import NOTHING

COLOURS = (WHITE, ORANGE)  # before, after


def subject_page(subject: str) -> str:
    """Name of a subject's report, which lies beside that of the group."""
    return f"sub-{subject}.html"


def subject_figure(rows: Sequence[HeldOut], method: str, pages: Collection[str]) -> Drawing:
    """A panel a quantity and tissue; subjects with a report, one of `pages`, are links."""
    subjects = sorted({row.subject for row in rows}, reverse=True)  # the first one comes out on top
    with style():
        figure = Figure(figsize=(11, 1.8 + 2 * 0.2 * max(4, len(subjects))), layout="constrained")
        panels = figure.subplots(len(TISSUES), len(QUANTITIES), sharey=True)
        for axes, (tissue, quantity) in zip(panels.flat, product(TISSUES, QUANTITIES), strict=True):
            before, after = (by_subject(rows, (name, tissue, quantity)) for name in (NOTHING, method))
            _panel(axes, subjects, (before, after), pages)
            axes.set_title(f"{quantity}, {TISSUE_NAMES[tissue].lower()}", fontweight="bold")
        figure.legend(*_marks(method), loc="outside lower center", ncols=2, frameon=False)
        caption = _caption(len(subjects), method, any(subject_page(name) in pages for name in subjects))
        alt = f"Error before and after of {len(subjects)} held-out subjects"
        return draw(figure, "subjects", caption, alt, leads=True)


def _panel(axes: Axes, subjects: Sequence[str], values: Sequence[Mapping[str, float]], pages: Collection[str]) -> None:
    """A line from before to after in each subject's row."""
    rows = {subject: row for row, subject in enumerate(subjects)}
    before, after = values
    both = [subject for subject in subjects if subject in before and subject in after]
    axes.hlines(
        [rows[one] for one in both], [before[one] for one in both], [after[one] for one in both], color=FAINT, zorder=1
    )
    for column, colour in zip(values, COLOURS, strict=True):
        names = list(column)
        heights = [rows[name] for name in names]
        dots = axes.scatter(list(column.values()), heights, s=42, color=colour, edgecolor=DARK, zorder=2)
        dots.set_urls([FOLDER_UP + subject_page(n) if subject_page(n) in pages else None for n in names])
    axes.set_yticks(range(len(subjects)), [f"sub-{subject}" for subject in subjects])
    axes.set_ylim(-0.6, len(subjects) - 0.4)
    axes.set_xlim(0, 1.08 * max((error for column in values for error in column.values()), default=1))
    axes.set_xlabel("NMSE (no unit)")
    tidy(axes, "x")


def _marks(method: str) -> tuple[list[Line2D], list[str]]:
    """What the two points of a line are."""
    shape: dict[str, Any] = {"marker": "o", "linestyle": "none", "markeredgecolor": DARK}
    return [Line2D([], [], color=colour, **shape) for colour in COLOURS], [label(NOTHING), label(method)]


def _caption(n: int, method: str, linked: bool) -> str:
    found = "A point leads to the report on its subject." if linked else "There were no reports on these subjects yet."
    return (
        f"Error (NMSE) of each of {n} held-out subjects, as the scan came (white) and with {label(method)} (orange): "
        f"further left is better. {found}"
    )
