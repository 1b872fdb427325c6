"""Coverage of the uncertainty: how much of the held-out measurements lies within its intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from bids_shresnet.outputs.model.validation import Coverage, Uncertainty
from bids_shresnet.report.style import (
    DARK,
    FAINT,
    ORANGE,
    Drawing,
    figure_style,
    render_figure,
    style_axes,
    tissue_name,
)

NOMINAL_SHARES = (0.68, 0.95)


def draw_coverage(uncertainty: Uncertainty) -> Drawing:
    """Draw the share within both intervals for every tissue and quantity."""
    coverages = uncertainty.coverages
    places = np.arange(len(coverages))
    labels = [f"{item.quantity}\n{tissue_name(item.tissue)}" for item in coverages]
    with figure_style():
        figure = Figure(figsize=(6.4, 4.2), layout="constrained")
        axes = figure.subplots()
        for level, values, colour in zip(
            NOMINAL_SHARES, _shares(coverages), (ORANGE, DARK), strict=True
        ):
            axes.axhline(100 * level, color=FAINT, linestyle="--", linewidth=1)
            axes.plot(places, values, "o", color=colour, label=f"{100 * level:.0f} % interval")
        axes.set_xticks(places, labels)
        axes.set(ylim=(0, 102))
        axes.set_ylabel("measurements within the interval (%)")
        axes.legend(loc="lower right")
        style_axes(axes, "y")
        alt = "Share of held-out measurements within the intervals of the uncertainty"
        return render_figure(figure, "uncertainty", _caption(coverages), alt)


def _shares(coverages: Sequence[Coverage]) -> tuple[list[float], list[float]]:
    """Per cent within the two intervals."""
    narrow = [100 * item.within_68 for item in coverages]
    wide = [100 * item.within_95 for item in coverages]
    return narrow, wide


def _caption(coverages: Sequence[Coverage]) -> str:
    correlations = [item.rank_correlation for item in coverages]
    return (
        "Share of the measurements of held-out subjects that lie within the 68 and 95 % intervals "
        "about their prediction; on the dashed lines, the uncertainty maps are right. The "
        "intervals include the noise of the target's measurement, the maps do not. Each tissue, "
        "quantity and interval has one factor, here that of the other subjects. "
        "Rank correlation of uncertainty and error over voxels: "
        f"{min(correlations):.2f} to {max(correlations):.2f}."
    )
