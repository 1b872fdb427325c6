"""Source against target before and after: joint histograms, and differences as Bland and Altman (1986) draw them.

Both reports show these figures: that on a subject of its voxels, that on a group of the sum over its subjects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from bids_shresnet.evaluation.agreement import AGREEMENT_LIMITS_SD, SCAN_STATES, bland_altman
from bids_shresnet.report.figures.agreement_data import MAX_CROPPED_FRACTION, AgreementData
from bids_shresnet.report.page import MINUS
from bids_shresnet.report.style import DARK, RED, Drawing, figure_style, render_figure, style_axes

DISPLAY_FACTORS: Mapping[str, float] = {
    "signal": 1.0,
    "FA": 1.0,
    "MD": 1000.0,
}  # MD is shown in units of 0.001 mm2/s
AXIS_LABELS: Mapping[str, str] = {
    "signal": "signal (S/S0)",
    "FA": "FA (no unit)",
    "MD": "MD (10⁻³ mm²/s)",
}
CROPPING_REMARK = f"The axes leave out at most {100 * MAX_CROPPED_FRACTION:g} % of the values of a panel at either end."
HISTOGRAM_CMAP = "cividis"  # the same to readers who see no red or green


@dataclass(frozen=True)
class _HistogramPlot:
    """What is drawn, by region and state: counts, horizontal lines, and a line of text above.

    Attributes
    ----------
    x_edges, y_edges
        Edges of the bins in the units of the figure.
    agreement_slope
        Slope of the line through zero on which source and target agree.
    """

    counts: Mapping[tuple[str, str], Integer[np.ndarray, "w h"]]
    horizontal_lines: Mapping[tuple[str, str], Sequence[float]]
    notes: Mapping[tuple[str, str], str]
    x_edges: Float[np.ndarray, " w1"]
    y_edges: Float[np.ndarray, " h1"]
    agreement_slope: float
    axis_labels: tuple[str, str]


def draw_joint_histograms(data: AgreementData) -> Drawing:
    """A row a region, before and after side by side."""
    quantity, edges = data.quantity, data.edges * DISPLAY_FACTORS[data.quantity]
    plot = _HistogramPlot(
        counts={place: one.counts for place, one in data.distributions.items()},
        horizontal_lines={},
        notes={
            place: f"r = {r:.2f}"
            for place, one in data.distributions.items()
            if (r := one.correlation) is not None
        },
        x_edges=edges,
        y_edges=edges,
        agreement_slope=1.0,
        axis_labels=(f"target, {AXIS_LABELS[quantity]}", f"source, {AXIS_LABELS[quantity]}"),
    )
    caption = (
        f"Joint histograms of {quantity} {data.where}: what the target scanner measured against what the source "
        f"scan says there, as it was and harmonized. On the thin line they agree. {CROPPING_REMARK} {data.remark}"
    )
    alt = f"Joint histograms of {quantity} of source and target before and after, in {' and '.join(data.regions)}"
    return _draw_histograms(plot, f"joint{quantity.capitalize()}", caption, alt)


def draw_differences(data: AgreementData) -> Drawing:
    """The differences of source and target by their mean, with the mean difference and the limits of agreement."""
    quantity, scale = data.quantity, DISPLAY_FACTORS[data.quantity]
    bins = len(data.edges) - 1
    lines = {
        place: [scale * one for one in ends]
        for place, c in data.distributions.items()
        if (ends := c.limits)
    }
    plot = _HistogramPlot(
        counts={place: bland_altman(one.counts) for place, one in data.distributions.items()},
        horizontal_lines=lines,
        notes={place: _limits_text(*line) for place, line in lines.items()},
        x_edges=scale * data.edges,
        y_edges=scale * (data.edges[1] - data.edges[0]) * (np.arange(2 * bins) - bins + 0.5),
        agreement_slope=0.0,
        axis_labels=(
            f"mean of source and target, {AXIS_LABELS[quantity]}",
            f"source {MINUS} target, {AXIS_LABELS[quantity]}",
        ),
    )
    caption = (
        f"Source minus target against the mean of the two (Bland and Altman), {quantity} {data.where}. Dashed: "
        f"mean difference; dotted: limits of agreement, mean ± {AGREEMENT_LIMITS_SD} standard deviations; their values stand above. "
        "Where the two values differ in noise alone, the cloud is tilted towards the noisier one. "
        f"{CROPPING_REMARK} {data.remark}"
    )
    alt = f"Bland-Altman plots of {quantity} of source and target before and after, in {' and '.join(data.regions)}"
    return _draw_histograms(plot, f"difference{quantity.capitalize()}", caption, alt)


def _limits_text(low: float, mean: float, high: float) -> str:
    return f"{mean:+z.3f} ({low:+z.3f} to {high:+z.3f})".replace("-", MINUS)


def _draw_histograms(plot: _HistogramPlot, name: str, caption: str, alt: str) -> Drawing:
    """A row a region, a column a state, all with the same axes and colours."""
    norm = LogNorm(1, max(2, *(int(counts.max()) for counts in plot.counts.values())))
    regions = dict.fromkeys(region for region, _ in plot.counts)
    with figure_style():
        figure = Figure(figsize=(6.6, 0.4 + 2.8 * len(regions)), layout="constrained")
        panels = figure.subplots(
            len(regions), len(SCAN_STATES), sharex=True, sharey=True, squeeze=False
        )
        for axes, place in zip(panels.flat, product(regions, SCAN_STATES), strict=True):
            counts = plot.counts[place].T
            shown = np.where(counts > 0, counts, np.nan)
            mesh = axes.pcolormesh(
                plot.x_edges, plot.y_edges, shown, norm=norm, cmap=HISTOGRAM_CMAP, rasterized=True
            )
            _annotate_panel(axes, plot, place)
        for axes in panels.flat:
            _crop_axes(axes, plot)
        figure.supxlabel(plot.axis_labels[0], fontsize="medium")
        figure.supylabel(plot.axis_labels[1], fontsize="medium")
        figure.colorbar(mesh, ax=panels, label="values in a bin (logarithmic)", shrink=0.6)
        return render_figure(figure, name, caption, alt)


def _annotate_panel(axes: Axes, plot: _HistogramPlot, panel_key: tuple[str, str]) -> None:
    """Lines and text of a panel."""
    axes.axline((0, 0), slope=plot.agreement_slope, color=DARK, linewidth=0.8)
    for value, dash in zip(
        plot.horizontal_lines.get(panel_key, ()), (":", "--", ":"), strict=False
    ):
        axes.axhline(value, color=RED, linestyle=dash, linewidth=1.5)
    axes.set_title(", ".join(panel_key), fontsize="medium", fontweight="bold", pad=15)
    note = plot.notes.get(panel_key, "")
    axes.annotate(
        note, (0.5, 1), (0, 4), "axes fraction", "offset points", ha="center", fontsize="small"
    )
    style_axes(axes, "y")


def _crop_axes(axes: Axes, plot: _HistogramPlot) -> None:
    """Show the bins that hold nearly all values of each panel."""
    filled = [counts for counts in plot.counts.values() if counts.any()]
    if filled:
        (left, right), (low, high) = (
            _bin_range([counts.sum(axis=other) for counts in filled]) for other in (1, 0)
        )
        if (
            plot.agreement_slope
        ):  # the same measure along both axes, or the line of agreement misleads
            left, right = low, high = min(left, low), max(right, high)
            axes.set_aspect("equal")
        axes.set_xlim(plot.x_edges[left], plot.x_edges[right + 1])
        axes.set_ylim(plot.y_edges[low], plot.y_edges[high + 1])


def _bin_range(panels: Sequence[Integer[np.ndarray, " n"]]) -> tuple[int, int]:
    """First and last bin beyond which no panel has more than `BEYOND` of its values."""
    shares = [np.cumsum(counts) / counts.sum() for counts in panels]
    first = min(int(np.searchsorted(share, MAX_CROPPED_FRACTION, "right")) for share in shares)
    return first, max(int(np.searchsorted(share, 1 - MAX_CROPPED_FRACTION)) for share in shares)
