"""Power of every spherical-harmonic order (RISH) before and after, and of the target where it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_shresnet.files.drawing import DARK, GREEN, ORANGE, WHITE, Drawing, draw, style, tidy
from bids_shresnet.scans import Shell

MIDDLE = (25, 50, 75)  # percentiles: the half of the voxels in the middle, and their median
APART = 0.22  # between marks of one order, in steps of orders
LOOKS: Mapping[str, Mapping[str, Any]] = {
    "before": {"marker": "o", "markerfacecolor": WHITE},
    "after": {"marker": "s", "markerfacecolor": ORANGE},
    "target": {"marker": "^", "markerfacecolor": GREEN},
}


def power_figure(
    powers: Mapping[str, Mapping[str, Float[np.ndarray, "v o"]]], shells: Sequence[Shell], caption: str
) -> Drawing:
    """A row a shell, a column a region.

    Parameters
    ----------
    powers
        By region, then by "before", "after" and perhaps "target": RISH of each order, shell after shell.
    shells
        Of the source.
    """
    with style():
        figure = Figure(figsize=(9, 2.7 * len(shells) + 0.4), layout="constrained")
        panels = figure.subplots(len(shells), len(powers), squeeze=False)
        start = 0
        for row, shell in zip(panels, shells, strict=True):
            orders = list(range(0, shell.sh_order + 1, 2))
            part = slice(start, start + len(orders))
            for axes, (region, by_scan) in zip(row, powers.items(), strict=True):
                _panel(axes, {name: values[:, part] for name, values in by_scan.items()}, orders)
                axes.set_title(f"{region}, source b = {shell.bvalue:.0f} s/mm²", fontsize=8.5)
            start += len(orders)
        handles, names = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=3, frameon=False)
        alt = f"Power of the spherical-harmonic orders before and after in {' and '.join(powers)}"
        return draw(figure, "power", caption, alt)


def _panel(axes: Axes, by_scan: Mapping[str, Float[np.ndarray, "v o"]], orders: Sequence[int]) -> None:
    """Medians side by side, with the middle half of the voxels."""
    for index, (name, values) in enumerate(by_scan.items()):
        low, median, high = np.percentile(values, MIDDLE, axis=0)
        places = np.arange(len(orders)) + (index - (len(by_scan) - 1) / 2) * APART
        ends = np.stack([median - low, high - median])
        axes.errorbar(places, median, yerr=ends, linestyle="none", color=DARK, label=name, **LOOKS[name])
    axes.set_yscale("log")
    axes.set_xticks(range(len(orders)), [str(order) for order in orders])
    axes.set_xlim(-0.6, len(orders) - 0.4)
    axes.set_xlabel("order l")
    axes.set_ylabel("RISH of S/S0 (no unit)")
    tidy(axes, "y")
