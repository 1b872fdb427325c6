"""A quick look at FA and MD before and after harmonization, for notebooks.

The reports have larger pictures, which are made to be read by others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

# Colour scale of a map: unit, factor to it, largest value shown, largest difference shown
SCALES = {"FA": ("", 1.0, 1.0, 0.2), "MD": (" (10⁻³ mm²/s)", 1e3, 3.0, 0.5)}
PANEL_INCHES = 2.6


def plot_maps(
    before: dict[str, Float[np.ndarray, "x y z"]],
    after: dict[str, Float[np.ndarray, "x y z"]],
    slice_index: int | None = None,
) -> Any:
    """Draw an axial slice of each map: input, harmonized, and their difference.

    Parameters
    ----------
    before, after
        FA, and MD in mm2/s, by name, with axes closest to right, anterior and superior.
    slice_index
        Which slice; by default the one with most signal in FA.

    Returns
    -------
    A matplotlib figure.
    """
    from matplotlib.figure import Figure  # a second that harmonizing must not take

    if slice_index is None:
        slice_index = int(np.argmax(after["FA"].sum(axis=(0, 1))))
    figure = Figure(figsize=(3 * PANEL_INCHES, len(after) * PANEL_INCHES), layout="constrained")
    axes = figure.subplots(len(after), 3, squeeze=False)
    for row, name in zip(axes, after, strict=True):
        _draw_row(figure, row, name, before[name][..., slice_index], after[name][..., slice_index])
    return figure


def _draw_row(
    figure: Any,
    row: Any,
    name: str,
    before: Float[np.ndarray, "x y"],
    after: Float[np.ndarray, "x y"],
) -> None:
    unit, factor, largest, largest_change = SCALES[name]
    grey = {"cmap": "gray", "vmin": 0, "vmax": largest}
    change = {"cmap": "RdBu_r", "vmin": -largest_change, "vmax": largest_change}
    panels = [("input", before, grey), ("harmonized", after, grey)]
    panels.append(("difference", after - before, change))
    for axis, (title, values, scale) in zip(row, panels, strict=True):
        shown = axis.imshow(factor * values.T, origin="lower", **scale)
        axis.set_title(f"{name}, {title}{unit}")
        axis.set_axis_off()
        figure.colorbar(shown, ax=axis, shrink=0.7)
