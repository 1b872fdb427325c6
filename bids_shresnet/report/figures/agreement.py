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

from bids_shresnet.evaluation.agreement import LIMITS, STATES, bland_altman
from bids_shresnet.report.figures.agreement_data import BEYOND, Compared
from bids_shresnet.report.page import MINUS
from bids_shresnet.report.style import DARK, RED, Drawing, draw, style, tidy

SCALES: Mapping[str, float] = {"signal": 1.0, "FA": 1.0, "MD": 1000.0}  # MD is shown in units of 0.001 mm2/s
UNITS: Mapping[str, str] = {
    "signal": "signal (S/S0)",
    "FA": "FA (no unit)",
    "MD": "MD (10⁻³ mm²/s)",
}
LEFT_OUT = f"The axes leave out at most {100 * BEYOND:g} % of the values of a panel at either end."
LOOK = "cividis"  # the same to readers who see no red or green


@dataclass(frozen=True)
class _Plot:
    """What is drawn, by region and state: counts, horizontal lines, and a line of text above.

    Attributes
    ----------
    horizontal, vertical
        Edges of the bins in the units of the figure.
    agreed
        Slope of the line through zero on which source and target agree.
    """

    counts: Mapping[tuple[str, str], Integer[np.ndarray, "w h"]]
    lines: Mapping[tuple[str, str], Sequence[float]]
    notes: Mapping[tuple[str, str], str]
    horizontal: Float[np.ndarray, " w1"]
    vertical: Float[np.ndarray, " h1"]
    agreed: float
    names: tuple[str, str]


def joint_figure(compared: Compared) -> Drawing:
    """A row a region, before and after side by side."""
    quantity, edges = compared.quantity, compared.edges * SCALES[compared.quantity]
    plot = _Plot(
        counts={place: one.counts for place, one in compared.clouds.items()},
        lines={},
        notes={place: f"r = {r:.2f}" for place, one in compared.clouds.items() if (r := one.correlation) is not None},
        horizontal=edges,
        vertical=edges,
        agreed=1.0,
        names=(f"target, {UNITS[quantity]}", f"source, {UNITS[quantity]}"),
    )
    caption = (
        f"Joint histograms of {quantity} {compared.where}: what the target scanner measured against what the source "
        f"scan says there, as it was and harmonized. On the thin line they agree. {LEFT_OUT} {compared.remark}"
    )
    alt = f"Joint histograms of {quantity} of source and target before and after, in {' and '.join(compared.regions)}"
    return _drawing(plot, f"joint{quantity.capitalize()}", caption, alt)


def difference_figure(compared: Compared) -> Drawing:
    """The differences of source and target by their mean, with the mean difference and the limits of agreement."""
    quantity, scale = compared.quantity, SCALES[compared.quantity]
    bins = len(compared.edges) - 1
    lines = {place: [scale * one for one in ends] for place, c in compared.clouds.items() if (ends := c.limits)}
    plot = _Plot(
        counts={place: bland_altman(one.counts) for place, one in compared.clouds.items()},
        lines=lines,
        notes={place: _written(*line) for place, line in lines.items()},
        horizontal=scale * compared.edges,
        vertical=scale * (compared.edges[1] - compared.edges[0]) * (np.arange(2 * bins) - bins + 0.5),
        agreed=0.0,
        names=(f"mean of source and target, {UNITS[quantity]}", f"source {MINUS} target, {UNITS[quantity]}"),
    )
    caption = (
        f"Source minus target against the mean of the two (Bland and Altman), {quantity} {compared.where}. Dashed: "
        f"mean difference; dotted: limits of agreement, mean ± {LIMITS} standard deviations; their values stand above. "
        "Where the two values differ in noise alone, the cloud is tilted towards the noisier one. "
        f"{LEFT_OUT} {compared.remark}"
    )
    alt = f"Bland-Altman plots of {quantity} of source and target before and after, in {' and '.join(compared.regions)}"
    return _drawing(plot, f"difference{quantity.capitalize()}", caption, alt)


def _written(low: float, mean: float, high: float) -> str:
    return f"{mean:+z.3f} ({low:+z.3f} to {high:+z.3f})".replace("-", MINUS)


def _drawing(plot: _Plot, name: str, caption: str, alt: str) -> Drawing:
    """A row a region, a column a state, all with the same axes and colours."""
    norm = LogNorm(1, max(2, *(int(counts.max()) for counts in plot.counts.values())))
    regions = dict.fromkeys(region for region, _ in plot.counts)
    with style():
        figure = Figure(figsize=(6.6, 0.4 + 2.8 * len(regions)), layout="constrained")
        panels = figure.subplots(len(regions), len(STATES), sharex=True, sharey=True, squeeze=False)
        for axes, place in zip(panels.flat, product(regions, STATES), strict=True):
            counts = plot.counts[place].T
            shown = np.where(counts > 0, counts, np.nan)
            mesh = axes.pcolormesh(plot.horizontal, plot.vertical, shown, norm=norm, cmap=LOOK, rasterized=True)
            _write(axes, plot, place)
        for axes in panels.flat:
            _crop(axes, plot)
        figure.supxlabel(plot.names[0], fontsize="medium")
        figure.supylabel(plot.names[1], fontsize="medium")
        figure.colorbar(mesh, ax=panels, label="values in a bin (logarithmic)", shrink=0.6)
        return draw(figure, name, caption, alt)


def _write(axes: Axes, plot: _Plot, place: tuple[str, str]) -> None:
    """Lines and text of a panel."""
    axes.axline((0, 0), slope=plot.agreed, color=DARK, linewidth=0.8)
    for value, dash in zip(plot.lines.get(place, ()), (":", "--", ":"), strict=False):
        axes.axhline(value, color=RED, linestyle=dash, linewidth=1.5)
    axes.set_title(", ".join(place), fontsize="medium", fontweight="bold", pad=15)
    note = plot.notes.get(place, "")
    axes.annotate(note, (0.5, 1), (0, 4), "axes fraction", "offset points", ha="center", fontsize="small")
    tidy(axes, "y")


def _crop(axes: Axes, plot: _Plot) -> None:
    """Show the bins that hold nearly all values of each panel."""
    filled = [counts for counts in plot.counts.values() if counts.any()]
    if filled:
        (left, right), (low, high) = (_reach([counts.sum(axis=other) for counts in filled]) for other in (1, 0))
        if plot.agreed:  # the same measure along both axes, or the line of agreement misleads
            left, right = low, high = min(left, low), max(right, high)
            axes.set_aspect("equal")
        axes.set_xlim(plot.horizontal[left], plot.horizontal[right + 1])
        axes.set_ylim(plot.vertical[low], plot.vertical[high + 1])


def _reach(panels: Sequence[Integer[np.ndarray, " n"]]) -> tuple[int, int]:
    """First and last bin beyond which no panel has more than `BEYOND` of its values."""
    shares = [np.cumsum(counts) / counts.sum() for counts in panels]
    first = min(int(np.searchsorted(share, BEYOND, "right")) for share in shares)
    return first, max(int(np.searchsorted(share, 1 - BEYOND)) for share in shares)
