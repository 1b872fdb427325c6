"""Errors of each held-out subject before and after harmonization, with links to its report."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from bids_shresnet.evaluation.comparison import Endpoint, subject_means
from bids_shresnet.evaluation.results import QUANTITIES, TISSUES, HeldOutResult
from bids_shresnet.report.figures.point_notes import PointNote, note_points, write_notes
from bids_shresnet.report.style import (
    DARK,
    FAINT,
    ORANGE,
    WHITE,
    Drawing,
    endpoint_title,
    figure_style,
    method_label,
    render_figure,
    style_axes,
)
from bids_shresnet.settings import NO_HARMONIZATION

COLOURS = {"before": WHITE, "after": ORANGE}
MAX_TICKS = 4  # of a narrow panel, whose labels may have six characters

Errors = Mapping[str, float]  # NMSE by subject


def subject_page_name(subject: str) -> str:
    """Name of a subject's report, which lies next to the group report."""
    return f"sub-{subject}.html"


def draw_subject_errors(
    rows: Sequence[HeldOutResult], method: str, pages: Collection[str]
) -> Drawing:
    """Draw one panel per quantity and tissue; points of subjects with one of `pages` are links."""
    subjects = sorted({row.subject for row in rows}, reverse=True)  # the first one is on top
    height = 1.8 + 2 * 0.2 * max(4, len(subjects))
    with figure_style():
        figure = Figure(figsize=(11, height), layout="constrained")
        panels = figure.subplots(len(TISSUES), len(QUANTITIES), sharey=True)
        for axes, endpoint in zip(panels.flat, product(TISSUES, QUANTITIES), strict=True):
            tissue, quantity = endpoint
            before = subject_means(rows, Endpoint(NO_HARMONIZATION, *endpoint))
            after = subject_means(rows, Endpoint(method, *endpoint))
            _draw_lines(axes, subjects, before, after)
            _draw_points(axes, subjects, before, "before", pages)
            _draw_points(axes, subjects, after, "after", pages)
            _style_panel(axes, subjects, max([*before.values(), *after.values()], default=1))
            axes.set_title(endpoint_title(quantity, tissue), fontweight="bold")
        handles = _legend_handles(method)
        figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False)
        has_links = any(subject_page_name(subject) in pages for subject in subjects)
        caption = _caption(len(subjects), method, has_links=has_links)
        alt = f"Error before and after of {len(subjects)} held-out subjects"
        return write_notes(render_figure(figure, "subjects", caption, alt))


def _draw_lines(axes: Axes, subjects: Sequence[str], before: Errors, after: Errors) -> None:
    """Draw a line from before to after in the row of each subject that has both."""
    complete = [subject for subject in subjects if subject in before and subject in after]
    axes.hlines(
        [subjects.index(subject) for subject in complete],
        [before[subject] for subject in complete],
        [after[subject] for subject in complete],
        color=FAINT,
        zorder=1,
    )


def _draw_points(
    axes: Axes, subjects: Sequence[str], errors: Errors, state: str, pages: Collection[str]
) -> None:
    rows = [subjects.index(subject) for subject in errors]
    colour = COLOURS[state]
    points = axes.scatter(list(errors.values()), rows, s=42, color=colour, edgecolor=DARK, zorder=2)
    note_points(points, [_describe_point(*item, state, pages) for item in errors.items()])


def _describe_point(subject: str, error: float, state: str, pages: Collection[str]) -> PointNote:
    return note_subject(f"sub-{subject}, {state}: {error:.3g}", subject, pages)


def note_subject(text: str, subject: str, pages: Collection[str]) -> PointNote:
    """Note a text at a point, with a link to the subject's page if that is among the pages."""
    page = subject_page_name(subject)
    return PointNote(text, page if page in pages else "")


def _style_panel(axes: Axes, subjects: Sequence[str], largest_error: float) -> None:
    axes.set_yticks(range(len(subjects)), [f"sub-{subject}" for subject in subjects])
    axes.set_ylim(-0.6, len(subjects) - 0.4)
    axes.set_xlim(0, 1.08 * largest_error)
    axes.xaxis.set_major_locator(MaxNLocator(MAX_TICKS))
    axes.set_xlabel("NMSE")
    style_axes(axes, "x")


def _legend_handles(method: str) -> list[Line2D]:
    marker: dict[str, Any] = {"marker": "o", "linestyle": "none", "markeredgecolor": DARK}
    return [
        Line2D([], [], color=COLOURS["before"], label=method_label(NO_HARMONIZATION), **marker),
        Line2D([], [], color=COLOURS["after"], label=method_label(method), **marker),
    ]


def _caption(n: int, method: str, *, has_links: bool) -> str:
    links = (
        "A point links to the report of its subject."
        if has_links
        else "There were no reports of these subjects yet."
    )
    return (
        f"Error (NMSE) of each of {n} held-out subjects, without harmonization (white) and with "
        f"{method_label(method)} (orange): further left is better. Under the pointer, a "
        f"point shows its value. {links}"
    )
