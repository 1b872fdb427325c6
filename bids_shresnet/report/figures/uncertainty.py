"""Calibration of the uncertainty: spread of the networks against error on held-out subjects."""

from __future__ import annotations

from matplotlib.figure import Figure

from bids_shresnet.outputs.model.validation import SpreadCalibration
from bids_shresnet.report.style import (
    DARK,
    FAINT,
    ORANGE,
    Drawing,
    figure_style,
    render_figure,
    style_axes,
)


def draw_calibration(calibration: SpreadCalibration) -> Drawing:
    """Draw groups of voxels of ascending spread."""
    spreads = [group.spread for group in calibration.groups]
    errors = [group.error for group in calibration.groups]
    axis_end = 1.1 * max(*spreads, *errors)
    with figure_style():
        figure = Figure(figsize=(5.5, 4.2), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, axis_end], [0, axis_end], color=FAINT, linestyle="--", linewidth=1)
        axes.plot(spreads, errors, color=DARK, marker="o", markerfacecolor=ORANGE, markersize=7)
        axes.set(xlim=(0, 1.2 * max(spreads)), ylim=(0, axis_end))
        axes.set_xlabel("spread of the networks (S/S0)")
        axes.set_ylabel("error on held-out subjects (S/S0)")
        style_axes(axes, "y")
        alt = "Error on held-out subjects against the spread"
        return render_figure(figure, "uncertainty", _caption(calibration), alt)


def _caption(calibration: SpreadCalibration) -> str:
    return (
        f"Voxels of held-out subjects in {len(calibration.groups)} groups of ascending spread: "
        "mean spread of the networks, which the uncertainty map shows, and root mean square error "
        "of the network from which the subject was held out, without the noise of the target's "
        f"scan. Rank correlation over voxels: {calibration.rank_correlation:.2f}. On the dashed "
        "line the spread equals the error. Points above the line mean that the networks agree with "
        "each other more than with the target. Use the map to rank voxels, not as an error bar."
    )
