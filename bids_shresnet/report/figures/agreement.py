"""Source against target: joint histograms, and differences as in Bland and Altman (1986).

The subject report draws them from the voxels of one scan, the group report from the sum over the
held-out subjects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float, Integer, Shaped
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from bids_shresnet.evaluation.agreement import AGREEMENT_LIMITS_SD, SCAN_STATES, AgreementLimits
from bids_shresnet.evaluation.histograms import bland_altman
from bids_shresnet.report.figures.agreement_data import MAX_CROPPED_FRACTION, AgreementData
from bids_shresnet.report.page import MINUS
from bids_shresnet.report.style import (
    DARK,
    DISPLAY_FACTORS,
    RED,
    Drawing,
    figure_style,
    render_figure,
    style_axes,
)

AXIS_LABELS: Mapping[str, str] = {
    "signal": "signal (S/S0)",
    "FA": "FA",
    "MD": "MD (10⁻³ mm²/s)",
}
LIMIT_LINE_STYLES = (":", "--", ":")  # lower limit of agreement, mean difference, upper limit
CROPPING_REMARK = (
    f"The axes are cropped by at most {100 * MAX_CROPPED_FRACTION:g} % of the values of a panel "
    "at either end."
)
# Places of the panels and the colour bar, in inches
WIDTH = 6.6
LEFT = 0.65
PANELS_RIGHT = 5.6
COLOUR_BAR_LEFT = 5.8
COLOUR_BAR_WIDTH = 0.15
BOTTOM = 0.55
TOP = 0.4
ROW_HEIGHT = 2.8
ROW_GAP = 0.45
HISTOGRAM_CMAP = "cividis"  # readable without red and green

PanelKey = tuple[str, str]  # region, state of the scan


@dataclass(frozen=True)
class _HistogramPlot:
    """One panel per region and state, all with the same axes.

    Attributes
    ----------
    limits
        Values of the horizontal lines.
    notes
        Line of text above a panel.
    x_edges, y_edges
        Edges of the bins in the units of the figure.
    agreement_slope
        Slope of the line through zero on which source and target agree.
    """

    counts: Mapping[PanelKey, Integer[np.ndarray, "w h"]]
    limits: Mapping[PanelKey, AgreementLimits]
    notes: Mapping[PanelKey, str]
    x_edges: Float[np.ndarray, " w1"]
    y_edges: Float[np.ndarray, " h1"]
    agreement_slope: float
    x_label: str
    y_label: str

    @property
    def regions(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(region for region, _ in self.counts))


def draw_joint_histograms(data: AgreementData) -> Drawing:
    """Draw one row of panels per region, with the input on the left and the result on the right."""
    label = AXIS_LABELS[data.quantity]
    edges = data.edges * DISPLAY_FACTORS[data.quantity]
    plot = _HistogramPlot(
        counts={key: panel.counts for key, panel in data.distributions.items()},
        limits={},
        notes={
            key: f"r = {panel.correlation:.2f}"
            for key, panel in data.distributions.items()
            if panel.correlation is not None
        },
        x_edges=edges,
        y_edges=edges,
        agreement_slope=1.0,
        x_label=f"target, {label}",
        y_label=f"source, {label}",
    )
    alt = f"Joint histograms of {_alt_phrase(data)}"
    return _draw_histograms(plot, f"joint{data.quantity.capitalize()}", _joint_caption(data), alt)


def draw_differences(data: AgreementData) -> Drawing:
    """Draw the difference of source and target against their mean, with limits of agreement."""
    label = AXIS_LABELS[data.quantity]
    scale = DISPLAY_FACTORS[data.quantity]
    bin_count = len(data.edges) - 1
    bin_width = data.edges[1] - data.edges[0]
    limits = _scaled_limits(data, scale)
    plot = _HistogramPlot(
        counts={key: bland_altman(panel.counts) for key, panel in data.distributions.items()},
        limits=limits,
        notes={key: _format_limits(values) for key, values in limits.items()},
        x_edges=scale * data.edges,
        y_edges=scale * bin_width * (np.arange(2 * bin_count) - bin_count + 0.5),
        agreement_slope=0.0,
        x_label=f"mean of source and target, {label}",
        y_label=f"source {MINUS} target, {label}",
    )
    name = f"difference{data.quantity.capitalize()}"
    alt = f"Bland-Altman plots of {_alt_phrase(data)}"
    return _draw_histograms(plot, name, _difference_caption(data), alt)


def _alt_phrase(data: AgreementData) -> str:
    regions = " and ".join(data.regions)
    return f"{data.quantity} of source and target before and after, in {regions}"


def _joint_caption(data: AgreementData) -> str:
    return (
        f"Joint histograms of {data.quantity} {data.where}: the measurement of the target scanner "
        "against the source scan, before and after harmonization. On the thin line both agree. "
        f"{CROPPING_REMARK} {data.remark}"
    )


def _difference_caption(data: AgreementData) -> str:
    return (
        f"Source minus target against the mean of the two (Bland and Altman), {data.quantity} "
        f"{data.where}. Dashed: mean difference. Dotted: limits of agreement, mean ± "
        f"{AGREEMENT_LIMITS_SD} standard deviations. Both are written above the panel. If only the "
        "noise of the two differs, the cloud is tilted towards the noisier one. "
        f"{CROPPING_REMARK} {data.remark}"
    )


def _scaled_limits(data: AgreementData, scale: float) -> dict[PanelKey, AgreementLimits]:
    limits = {}
    for key, panel in data.distributions.items():
        if panel.limits:
            low, mean, high = panel.limits
            limits[key] = AgreementLimits(scale * low, scale * mean, scale * high)
    return limits


def _format_limits(limits: AgreementLimits) -> str:
    low, mean, high = limits
    return f"{mean:+z.3f} ({low:+z.3f} to {high:+z.3f})".replace("-", MINUS)


def _draw_histograms(plot: _HistogramPlot, name: str, caption: str, alt: str) -> Drawing:
    norm = LogNorm(1, max(2, *(int(counts.max()) for counts in plot.counts.values())))
    with figure_style():
        figure, panels = _make_panels(len(plot.regions))
        for axes, key in zip(panels.flat, product(plot.regions, SCAN_STATES), strict=True):
            counts = plot.counts[key].T
            colours = np.where(counts > 0, counts, np.nan)
            mesh = axes.pcolormesh(
                plot.x_edges, plot.y_edges, colours, norm=norm, cmap=HISTOGRAM_CMAP, rasterized=True
            )
            _annotate_panel(axes, plot, key)
        _crop_axes(panels.ravel().tolist(), plot)
        figure.supxlabel(plot.x_label, fontsize="medium")
        figure.supylabel(plot.y_label, fontsize="medium")
        bar_axes = figure.add_axes((COLOUR_BAR_LEFT / WIDTH, 0.25, COLOUR_BAR_WIDTH / WIDTH, 0.5))
        figure.colorbar(mesh, cax=bar_axes, label="voxels per bin (logarithmic)")
        return render_figure(figure, name, caption, alt)


def _make_panels(rows: int) -> tuple[Figure, Shaped[np.ndarray, "r 2"]]:
    """Make panels with room for their labels; to seek a layout takes half of a figure's time."""
    height = ROW_HEIGHT * rows + BOTTOM + TOP - ROW_GAP
    figure = Figure(figsize=(WIDTH, height))
    panels = figure.subplots(
        rows,
        len(SCAN_STATES),
        sharex=True,
        sharey=True,
        squeeze=False,
        gridspec_kw={
            "left": LEFT / WIDTH,
            "right": PANELS_RIGHT / WIDTH,
            "bottom": BOTTOM / height,
            "top": 1 - TOP / height,
            "wspace": 0.1,
            "hspace": ROW_GAP / (ROW_HEIGHT - ROW_GAP),
        },
    )
    return figure, panels


def _annotate_panel(axes: Axes, plot: _HistogramPlot, key: PanelKey) -> None:
    """Add the line of agreement, the limits, title and note to a panel."""
    axes.axline((0, 0), slope=plot.agreement_slope, color=DARK, linewidth=0.8)
    if key in plot.limits:
        for value, line_style in zip(plot.limits[key], LIMIT_LINE_STYLES, strict=True):
            axes.axhline(value, color=RED, linestyle=line_style, linewidth=1.5)
    axes.set_title(", ".join(key), fontsize="medium", fontweight="bold", pad=15)
    axes.annotate(
        plot.notes.get(key, ""),
        xy=(0.5, 1),
        xytext=(0, 4),
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        fontsize="small",
    )
    style_axes(axes, "y")


def _crop_axes(panels: Sequence[Axes], plot: _HistogramPlot) -> None:
    """Show the bins that hold nearly all values of each panel."""
    filled = [counts for counts in plot.counts.values() if counts.any()]
    if not filled:
        return
    left, right = _bin_range([counts.sum(axis=1) for counts in filled])
    low, high = _bin_range([counts.sum(axis=0) for counts in filled])
    has_equal_axes = plot.agreement_slope != 0  # else the line of agreement misleads
    if has_equal_axes:
        left = low = min(left, low)
        right = high = max(right, high)
    for axes in panels:
        axes.set_xlim(plot.x_edges[left], plot.x_edges[right + 1])
        axes.set_ylim(plot.y_edges[low], plot.y_edges[high + 1])
        if has_equal_axes:
            axes.set_aspect("equal")


def _bin_range(panels: Sequence[Integer[np.ndarray, " n"]]) -> tuple[int, int]:
    """First and last bin beyond which no panel has more than `MAX_CROPPED_FRACTION`."""
    shares = [np.cumsum(counts) / counts.sum() for counts in panels]
    first = min(np.searchsorted(share, MAX_CROPPED_FRACTION, "right") for share in shares)
    last = max(np.searchsorted(share, 1 - MAX_CROPPED_FRACTION) for share in shares)
    return int(first), int(last)
