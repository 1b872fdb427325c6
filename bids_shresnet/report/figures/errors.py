"""Errors and site bias of the methods on held-out subjects, drawn as in Koppers et al. 2018, Figures 2 to 4."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter, ScalarFormatter

from bids_shresnet.evaluation.statistics import (
    QUANTITIES,
    TISSUE_MEAN_METHODS,
    TISSUES,
    Bias,
    Comparison,
    HeldOutResult,
    adjust_p_values,
    subject_means,
)
from bids_shresnet.report.style import (
    DARK,
    FAINT,
    TISSUE_NAMES,
    Drawing,
    box_style,
    draw_boxes,
    figure_style,
    method_label,
    render_figure,
    sort_methods,
    style_axes,
)
from bids_shresnet.settings import DEFAULT_METHOD, NO_HARMONIZATION

SIGNIFICANCE_STARS = ((0.001, "***"), (0.01, "**"), (0.05, "*"))
LOG_AXIS_RATIO = (
    8.0  # ratio of the largest error to the smallest above which a linear axis hides the small ones
)
DEFAULT_BETTER_MARK = "▼"
TISSUE_MARKERS: Mapping[str, Mapping[str, Any]] = {
    "WM": {"marker": "o", "fillstyle": "full"},
    "GM": {"marker": "s", "fillstyle": "none"},
}


def significance_stars(p: float) -> str:
    """`*` p < .05, `**` p < .01, `***` p < .001, else `n.s.`."""
    return next((mark for limit, mark in SIGNIFICANCE_STARS if p < limit), "n.s.")


def draw_errors(
    rows: Iterable[HeldOutResult], comparisons: Iterable[Comparison], quantity: str
) -> Drawing:
    """Box plots of the NMSE of one quantity: a panel a tissue, a box a method, a line a subject.

    Above a box stand its method's stars against `NOTHING`, and a mark where the default method is better than it, both
    if `comparisons` holds them. Methods that correct no voxel are left out: their error is of another kind.
    """
    shown = [
        row for row in rows if row.quantity == quantity and row.method not in TISSUE_MEAN_METHODS
    ]
    compared = [
        one
        for one in _adjust_p_values(comparisons)
        if one.quantity == quantity and not one.is_mean_error
    ]
    methods = sort_methods(row.method for row in shown)
    with figure_style():
        figure = Figure(figsize=(11, 5.2), layout="constrained")
        for axes, tissue in zip(figure.subplots(1, 2), TISSUES, strict=True):
            _draw_error_panel(axes, shown, methods, (tissue, quantity))
            _mark_significance(axes, [one for one in compared if one.tissue == tissue], methods)
            axes.set_title(TISSUE_NAMES[tissue], pad=34, fontweight="bold")
        n = len({row.subject for row in shown})
        alt = f"Box plots of the error of {quantity} in white and grey matter for {len(methods)} methods, {n} subjects"
        return render_figure(figure, f"errors_{quantity.lower()}", _error_caption(quantity, n), alt)


def draw_biases(biases: Iterable[Bias]) -> Drawing:
    """Mean site bias with its interval: a panel a quantity, a line a method, a mark a tissue."""
    shown = tuple(biases)
    methods = sort_methods(bias.method for bias in shown)
    with figure_style():
        figure = Figure(figsize=(11, 1.6 + 0.34 * len(methods)), layout="constrained")
        panels = figure.subplots(1, 3, sharey=True)
        for axes, quantity in zip(panels, QUANTITIES, strict=True):
            _draw_bias_panel(axes, [bias for bias in shown if bias.quantity == quantity], methods)
            axes.set_title(quantity, fontweight="bold")
        handles, names = panels[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
        n = max((bias.n for bias in shown), default=0)
        caption = (
            "Site bias: mean over a tissue relative to what the target scanner measured, minus 1; mean of "
            f"{n} held-out subjects and 95 % bootstrap interval. Zero is no bias. It says nothing about single voxels."
        )
        return render_figure(
            figure, "bias", caption, f"Site bias of {len(methods)} methods for signal, FA and MD"
        )


def _draw_error_panel(
    axes: Axes, rows: Sequence[HeldOutResult], methods: Sequence[str], endpoint: tuple[str, str]
) -> None:
    """Boxes and the lines of the subjects behind them."""
    errors = [subject_means(rows, (method, *endpoint)) for method in methods]
    for subject in sorted({subject for values in errors for subject in values}):
        line = [values.get(subject, np.nan) for values in errors]
        axes.plot(
            range(len(line)),
            line,
            color=FAINT,
            alpha=0.5,
            linewidth=0.7,
            marker=".",
            markersize=3,
            zorder=1,
        )
    values = [list(column.values()) for column in errors]
    draw_boxes(axes, values, [box_style(method) for method in methods])
    axes.set_ylabel(f"NMSE of {endpoint[1]} (no unit)")
    axes.set_xticks(
        range(len(methods)), [method_label(method) for method in methods], rotation=45, ha="right"
    )
    axes.set_xlim(-0.6, len(methods) - 0.4)
    _set_error_scale(axes, [value for column in values for value in column])
    style_axes(axes, "y")


def _set_error_scale(axes: Axes, errors: Sequence[float]) -> None:
    """From zero, unless errors differ so much that the small ones would lie on it."""
    if errors and min(errors) > 0 and max(errors) / min(errors) > LOG_AXIS_RATIO:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0)


def _mark_significance(
    axes: Axes, comparisons: Sequence[Comparison], methods: Sequence[str]
) -> None:
    """Stars with the direction of the change above each box, and over them the mark of those the default beats."""
    for place, method in enumerate(methods):
        for one in comparisons:
            if (one.method, one.baseline) == (method, NO_HARMONIZATION):
                _write_above_box(
                    axes,
                    place,
                    1.02,
                    f"{'' if significance_stars(one.p_holm) == 'n.s.' else _arrow(one)}{significance_stars(one.p_holm)}",
                )
            if (
                (one.method, one.baseline) == (DEFAULT_METHOD, method)
                and one.is_better
                and one.p_holm < SIGNIFICANCE_STARS[-1][0]
            ):
                _write_above_box(axes, place, 1.08, DEFAULT_BETTER_MARK)


def _adjust_p_values(comparisons: Iterable[Comparison]) -> Iterator[Comparison]:
    """With p adjusted for the places in which the same two methods are compared, whatever else was compared."""
    pairs: dict[tuple[str, str], list[Comparison]] = {}
    for one in comparisons:
        pairs.setdefault((one.method, one.baseline), []).append(one)
    for table in pairs.values():
        adjusted = adjust_p_values([one.p for one in table])
        yield from (replace(one, p_holm=p) for one, p in zip(table, adjusted, strict=True))


def _arrow(comparison: Comparison) -> str:
    return "↓" if comparison.decrease > 0 else "↑"


def _write_above_box(axes: Axes, position: int, height: float, text: str) -> None:
    """Put text over a box; the height is in parts of the panel's."""
    axes.text(
        position,
        height,
        text,
        transform=axes.get_xaxis_transform(),
        ha="center",
        va="bottom",
        fontsize=8,
    )


def _error_caption(quantity: str, n: int) -> str:
    return (
        f"Error (NMSE) of {quantity} on {n} held-out subjects; a grey line is a subject, a box holds the middle half "
        "of them, its whiskers reach 1.5 times as far. Above the boxes: two-sided Wilcoxon against no harmonization, "
        "* p < .05, ** p < .01, *** p < .001, n.s. not significant; ↓ error lower, ↑ higher; "
        f"{DEFAULT_BETTER_MARK} the default method's error is lower than this method's with p < .05. "
        "These p are adjusted (Holm) for all tissues and quantities in which the same two methods are compared. "
        "Where errors differ much, the axis is logarithmic."
    )


def _draw_bias_panel(axes: Axes, biases: Sequence[Bias], methods: Sequence[str]) -> None:
    """Two marks a line, white matter above grey matter."""
    axes.axvline(0, color=DARK, linewidth=1)
    for tissue, shift in zip(TISSUES, (-0.14, 0.14), strict=True):
        here = [bias for bias in biases if bias.tissue == tissue]
        means, places = (
            [bias.mean for bias in here],
            [methods.index(bias.method) + shift for bias in here],
        )
        ends = np.array([(b.mean - b.interval[0], b.interval[1] - b.mean) for b in here]).reshape(
            -1, 2
        )
        spans = np.where(np.isnan(ends), 0, ends).clip(min=0).T
        axes.errorbar(
            means,
            places,
            xerr=spans,
            linestyle="none",
            color=DARK,
            label=TISSUE_NAMES[tissue],
            **TISSUE_MARKERS[tissue],
        )
    axes.set_yticks(range(len(methods)), [method_label(method) for method in methods])
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.set_xlabel("site bias (%)")
    axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    style_axes(axes, "x")
