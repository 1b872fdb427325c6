"""Source against target before and after: joint histograms, and differences as Bland and Altman (1986) draw them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from bids_shresnet.agreement import BINS, RANGES, STATES, Agreement, Histograms, bland_altman
from bids_shresnet.files.drawing import DARK, ORANGE, TISSUE_NAMES, Drawing, draw, style, tidy
from bids_shresnet.statistics import NOTHING, QUANTITIES, TISSUES

SCALES: Mapping[str, float] = {"signal": 1.0, "FA": 1.0, "MD": 1000.0}  # MD is shown in units of 0.001 mm2/s
UNITS: Mapping[str, str] = {
    "signal": "signal (S/S0)",
    "FA": "FA (no unit)",
    "MD": "MD (10⁻³ mm²/s)",
}
NOISE: Mapping[str, str] = {  # what a reader has to know of it
    "signal": "Where a method takes noise away, that of the target's scan still spreads values around the line, "
    "however right the prediction is.",
    "FA": "Where a method takes noise away, its FA and MD are shown as the target would measure them, in the mean over "
    "its noise.",
}
LIMITS = 1.96  # standard deviations: between them lie 95 % of normal differences
LOOK = "cividis"  # the same to readers who see no red or green


@dataclass(frozen=True)
class _Plot:
    """What is drawn: counts by state, tissue and bin along the axes; edges of the bins; where source equals target.

    `agreed` is the slope of the line through zero on which they agree.
    """

    counts: Integer[np.ndarray, "state tissue w h"]
    horizontal: Float[np.ndarray, " w1"]
    vertical: Float[np.ndarray, " h1"]
    agreed: float
    names: tuple[str, str]


def joint_figure(histograms: Histograms, quantity: str) -> Drawing:
    """Joint histograms of one quantity over all subjects: a row a tissue, before and after side by side."""
    edges = _edges(quantity)
    names = (f"target, {UNITS[quantity]}", f"source, {UNITS[quantity]}")
    plot = _Plot(_counts(histograms, quantity), edges, edges, 1.0, names)
    caption = (
        f"Joint histograms of {quantity} in the voxels of {len(histograms.subjects)} held-out subjects: what the "
        "target scanner measured against what the source scan says there, as it was and harmonized. On the thin line "
        f"they agree. {NOISE.get(quantity, NOISE['FA'])}"
    )
    alt = f"Joint histograms of {quantity} of source and target before and after, in white and grey matter"
    return _drawing(plot, {}, (f"joint_{quantity.lower()}", caption, alt))


def difference_figure(histograms: Histograms, agreements: Iterable[Agreement], quantity: str) -> Drawing:
    """The differences of source and target by their mean, with the mean difference and the limits of agreement."""
    edges = _edges(quantity)
    heights = (edges[1] - edges[0]) * (np.arange(2 * BINS) - BINS + 0.5)
    counts = np.array([[bland_altman(one) for one in state] for state in _counts(histograms, quantity)])
    names = (f"mean of source and target, {UNITS[quantity]}", "source \N{MINUS SIGN} target")
    lines = _limits([row for row in agreements if row.quantity == quantity], SCALES[quantity])
    caption = (
        f"Source minus target against the mean of the two (Bland and Altman), {quantity}, voxels of "
        f"{len(histograms.subjects)} held-out subjects. Dashed: mean difference; dotted: mean ± {LIMITS} standard "
        "deviations, as in the table above. Where the two values differ in noise alone, the cloud is tilted towards "
        "the noisier one."
    )
    alt = f"Bland-Altman plots of {quantity} of source and target before and after, in white and grey matter"
    about = (f"difference_{quantity.lower()}", caption, alt)
    return _drawing(_Plot(counts, edges, heights, 0.0, names), lines, about)


def limits(agreements: Sequence[Agreement]) -> tuple[float, float, float]:
    """Lower limit of agreement, mean difference and upper limit: means over subjects."""
    mean = float(np.mean([row.mean for row in agreements]))
    reach = LIMITS * float(np.mean([row.deviation for row in agreements]))
    return mean - reach, mean, mean + reach


def _limits(rows: Sequence[Agreement], scale: float) -> Mapping[tuple[int, int], tuple[float, ...]]:
    """By state and tissue."""
    found: dict[tuple[int, int], tuple[float, ...]] = {}
    for line, tissue in enumerate(TISSUES):
        here = [row for row in rows if row.tissue == tissue]
        states = ([row for row in here if (row.method == NOTHING) == before] for before in (True, False))
        found |= {(k, line): tuple(scale * value for value in limits(some)) for k, some in enumerate(states) if some}
    return found


def _edges(quantity: str) -> Float[np.ndarray, " e"]:
    """Of the bins, in the units of the figure."""
    return np.linspace(*RANGES[quantity], BINS + 1) * SCALES[quantity]


def _counts(histograms: Histograms, quantity: str) -> Integer[np.ndarray, "state tissue b b"]:
    """Summed over subjects."""
    return np.asarray(histograms.counts[:, :, :, QUANTITIES.index(quantity)].sum(axis=0, dtype=np.int64))


def _drawing(plot: _Plot, lines: Mapping[tuple[int, int], tuple[float, ...]], about: tuple[str, str, str]) -> Drawing:
    """A row a tissue, a column a state, all with the same axes and colours; horizontal lines by state and tissue."""
    norm = LogNorm(1, max(2, int(plot.counts.max())))
    with style():
        figure = Figure(figsize=(6.6, 5.8), layout="constrained")
        panels = figure.subplots(len(TISSUES), len(STATES), sharex=True, sharey=True, squeeze=False)
        for (line, state), axes in np.ndenumerate(panels):
            counts = plot.counts[state, line].T
            shown = np.where(counts > 0, counts, np.nan)
            mesh = axes.pcolormesh(plot.horizontal, plot.vertical, shown, norm=norm, cmap=LOOK, rasterized=True)
            axes.axline((0, 0), slope=plot.agreed, color=DARK, linewidth=0.8)
            for value, dash in zip(lines.get((state, line), ()), (":", "--", ":"), strict=False):
                axes.axhline(value, color=ORANGE, linestyle=dash, linewidth=1.5)
            axes.set_title(f"{TISSUE_NAMES[TISSUES[line]]}, {STATES[state]}", fontweight="bold")
            tidy(axes, "y")
        for axes in panels.flat:
            _crop(axes, plot)
        figure.supxlabel(plot.names[0], fontsize="medium")
        figure.supylabel(plot.names[1], fontsize="medium")
        figure.colorbar(mesh, ax=panels, label="values in a bin (logarithmic)", shrink=0.6)
        return draw(figure, *about)


def _crop(axes: Axes, plot: _Plot) -> None:
    """Show the bins that hold anything in any panel."""
    counts = plot.counts.sum(axis=(0, 1))
    if counts.any():
        (left, right), (low, high) = (np.flatnonzero(counts.sum(axis=other))[[0, -1]] for other in (1, 0))
        if plot.agreed:  # the same measure along both axes, or the line of agreement misleads
            left, right = low, high = min(left, low), max(right, high)
            axes.set_aspect("equal")
        axes.set_xlim(plot.horizontal[left], plot.horizontal[right + 1])
        axes.set_ylim(plot.vertical[low], plot.vertical[high + 1])
