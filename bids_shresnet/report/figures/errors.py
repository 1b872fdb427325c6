"""Errors and site bias of the methods, drawn as in Koppers et al. 2018, Figures 2 to 4."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter, ScalarFormatter

from bids_shresnet.evaluation.comparison import (
    TISSUE_MEAN_METHODS,
    Bias,
    Comparison,
    Endpoint,
    subject_means,
)
from bids_shresnet.evaluation.results import QUANTITIES, TISSUES, HeldOutResult
from bids_shresnet.evaluation.statistics import adjust_p_values
from bids_shresnet.report.style import (
    DARK,
    TISSUE_NAMES,
    Drawing,
    box_style,
    draw_boxes,
    draw_subject_line,
    figure_style,
    method_label,
    render_figure,
    sort_methods,
    style_axes,
)
from bids_shresnet.settings import DEFAULT_METHOD, NO_HARMONIZATION

SIGNIFICANCE_LEVEL = 0.05
SIGNIFICANCE_STARS = ((0.001, "***"), (0.01, "**"), (SIGNIFICANCE_LEVEL, "*"))
NOT_SIGNIFICANT = "n.s."
TOO_FEW_SUBJECTS = "n/a"
MAX_LINEAR_ERROR_RATIO = 8.0  # largest error over smallest; beyond it the axis is logarithmic
DEFAULT_BETTER_MARK = "▼"
STARS_HEIGHT = 1.02  # in parts of the panel's height
DEFAULT_BETTER_HEIGHT = 1.08
TISSUE_MARKERS: Mapping[str, Mapping[str, Any]] = {
    "WM": {"marker": "o", "fillstyle": "full"},
    "GM": {"marker": "s", "fillstyle": "none"},
}
TISSUE_SHIFTS: Mapping[str, float] = {"WM": -0.14, "GM": 0.14}  # in rows; white above grey matter


def significance_stars(p: float) -> str:
    """`*` p < .05, `**` p < .01, `***` p < .001, else `n.s.`."""
    return next((stars for limit, stars in SIGNIFICANCE_STARS if p < limit), NOT_SIGNIFICANT)


def draw_errors(
    rows: Iterable[HeldOutResult], comparisons: Iterable[Comparison], quantity: str
) -> Drawing:
    """Draw box plots of the NMSE of one quantity: one panel per tissue, one box per method.

    The stars above a box belong to the comparison with `NO_HARMONIZATION`. A mark above them says
    that the default method is better. Methods of `TISSUE_MEAN_METHODS`, which correct no voxel, are
    not drawn.
    """
    rows = [row for row in rows if row.quantity == quantity]
    rows = [row for row in rows if row.method not in TISSUE_MEAN_METHODS]
    comparisons = [c for c in _adjust_p_values(comparisons) if c.quantity == quantity]
    comparisons = [c for c in comparisons if not c.is_mean_error]
    methods = sort_methods(row.method for row in rows)
    n = len({row.subject for row in rows})
    with figure_style():
        figure = Figure(figsize=(11, 5.2), layout="constrained")
        for axes, tissue in zip(figure.subplots(1, 2), TISSUES, strict=True):
            _draw_error_panel(axes, rows, methods, (tissue, quantity))
            _mark_significance(axes, [c for c in comparisons if c.tissue == tissue], methods)
            axes.set_title(TISSUE_NAMES[tissue], pad=34, fontweight="bold")
        alt = f"Box plots of the error of {quantity} for {len(methods)} methods and {n} subjects"
        return render_figure(figure, f"errors_{quantity.lower()}", _error_caption(quantity, n), alt)


def draw_biases(biases: Iterable[Bias]) -> Drawing:
    """Draw mean site bias and its interval: one panel per quantity, one row per method."""
    biases = tuple(biases)
    methods = sort_methods(bias.method for bias in biases)
    n = max((bias.n for bias in biases), default=0)
    with figure_style():
        figure = Figure(figsize=(11, 1.6 + 0.34 * len(methods)), layout="constrained")
        panels = figure.subplots(1, len(QUANTITIES), sharey=True)
        for axes, quantity in zip(panels, QUANTITIES, strict=True):
            _draw_bias_panel(axes, [bias for bias in biases if bias.quantity == quantity], methods)
            axes.set_title(quantity, fontweight="bold")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
        alt = f"Site bias of {len(methods)} methods for signal, FA and MD"
        return render_figure(figure, "bias", _bias_caption(n), alt)


def _draw_error_panel(
    axes: Axes, rows: Sequence[HeldOutResult], methods: Sequence[str], endpoint: tuple[str, str]
) -> None:
    """Draw the boxes, and behind them one line per subject."""
    errors = [subject_means(rows, Endpoint(method, *endpoint)) for method in methods]
    _draw_subject_lines(axes, errors)
    columns = [list(method_errors.values()) for method_errors in errors]
    draw_boxes(axes, columns, [box_style(method) for method in methods])
    axes.set_ylabel(f"NMSE of {endpoint[1]}")
    labels = [method_label(method) for method in methods]
    axes.set_xticks(range(len(methods)), labels, rotation=45, ha="right")
    axes.set_xlim(-0.6, len(methods) - 0.4)
    _set_error_scale(axes, [error for column in columns for error in column])
    style_axes(axes, "y")


def _draw_subject_lines(axes: Axes, errors: Sequence[Mapping[str, float]]) -> None:
    """Draw one line per subject through its errors of all methods."""
    subjects = {subject for method_errors in errors for subject in method_errors}
    for subject in sorted(subjects):
        values = [method_errors.get(subject, np.nan) for method_errors in errors]
        draw_subject_line(axes, values)


def _set_error_scale(axes: Axes, errors: Sequence[float]) -> None:
    """Begin the axis at zero, unless small errors could then not be told from zero."""
    is_log = errors and min(errors) > 0 and max(errors) / min(errors) > MAX_LINEAR_ERROR_RATIO
    if is_log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(ScalarFormatter())
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0)


def _mark_significance(
    axes: Axes, comparisons: Sequence[Comparison], methods: Sequence[str]
) -> None:
    """Write stars above each box, and the mark above those that the default method beats."""
    for position, method in enumerate(methods):
        for comparison in comparisons:
            pair = (comparison.method, comparison.baseline)
            if pair == (method, NO_HARMONIZATION):
                _write_above_box(axes, position, STARS_HEIGHT, _significance_label(comparison))
            is_significant = comparison.is_better and comparison.p_holm < SIGNIFICANCE_LEVEL
            if pair == (DEFAULT_METHOD, method) and is_significant:
                _write_above_box(axes, position, DEFAULT_BETTER_HEIGHT, DEFAULT_BETTER_MARK)


def _significance_label(comparison: Comparison) -> str:
    """Stars, or that so few subjects cannot give any."""
    if comparison.p_floor > SIGNIFICANCE_LEVEL:
        return TOO_FEW_SUBJECTS
    return significance_stars(comparison.p_holm)


def _adjust_p_values(comparisons: Iterable[Comparison]) -> Iterator[Comparison]:
    """Adjust p for all tissues and quantities in which the same two methods are compared."""
    by_pair: dict[tuple[str, str], list[Comparison]] = defaultdict(list)
    for comparison in comparisons:
        by_pair[comparison.method, comparison.baseline].append(comparison)
    for pair_comparisons in by_pair.values():
        adjusted = adjust_p_values([comparison.p for comparison in pair_comparisons])
        for comparison, p_holm in zip(pair_comparisons, adjusted, strict=True):
            yield replace(comparison, p_holm=p_holm)


def _write_above_box(axes: Axes, position: int, height: float, text: str) -> None:
    """Write text over a box; the height is in parts of the panel's height."""
    transform = axes.get_xaxis_transform()
    axes.text(position, height, text, transform=transform, ha="center", va="bottom", fontsize=8)


def _error_caption(quantity: str, n: int) -> str:
    return (
        f"Error (NMSE) of {quantity} on {n} held-out subjects. A grey line is one subject. A box "
        "is the middle half of the subjects, its whiskers reach up to 1.5 times the height of the "
        "box. Above the boxes: one-sided Wilcoxon signed-rank test of an error below that of no "
        "harmonization, * p < .05, ** p < .01, *** p < .001, n.s. not significantly lower, n/a too "
        "few subjects for any p < .05; "
        f"{DEFAULT_BETTER_MARK} the default method has a lower error than this one, p < .05. All p "
        "are adjusted (Holm) for the tissues and quantities in which the same two methods are "
        "compared. If errors differ much, the axis is logarithmic."
    )


def _bias_caption(n: int) -> str:
    return (
        "Site bias: the mean over a tissue divided by the mean that the target scanner measured, "
        f"minus 1. Mean of {n} held-out subjects and 95 % bootstrap confidence interval. Zero is "
        "no bias. It says nothing about single voxels."
    )


def _draw_bias_panel(axes: Axes, biases: Sequence[Bias], methods: Sequence[str]) -> None:
    axes.axvline(0, color=DARK, linewidth=1)
    for tissue in TISSUES:
        tissue_biases = [bias for bias in biases if bias.tissue == tissue]
        axes.errorbar(
            [bias.mean for bias in tissue_biases],
            [methods.index(bias.method) + TISSUE_SHIFTS[tissue] for bias in tissue_biases],
            xerr=_interval_lengths(tissue_biases),
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


def _interval_lengths(biases: Sequence[Bias]) -> Float[np.ndarray, "2 n"]:
    """Distance of the mean to both ends of its interval; zero where no interval is known."""
    below = [bias.mean - bias.interval[0] for bias in biases]
    above = [bias.interval[1] - bias.mean for bias in biases]
    return np.asarray(np.nan_to_num(np.array([below, above])).clip(min=0))
