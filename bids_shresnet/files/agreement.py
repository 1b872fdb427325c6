"""How a map agrees with the target's measurement before and after: joint histograms and Bland-Altman plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from bids_shresnet.files.drawing import DARK, RED, Drawing, draw_pixels, style

BINS = 60
WITHIN = (0.5, 99.5)  # percentiles that axes reach to
LIMITS = 1.96  # standard deviations, Bland and Altman 1986
CMAP = "viridis"


@dataclass(frozen=True)
class Compared:
    """Values of the same voxels of one region.

    Attributes
    ----------
    scans
        By "before" and "after".
    target
        As the target scanner measured them.
    """

    region: str
    scans: Mapping[str, Float[np.ndarray, " v"]]
    target: Float[np.ndarray, " v"]


@dataclass(frozen=True)
class Agreement:
    """Mean and standard deviation of the differences to the target (scan - target), and the correlation with it."""

    bias: float
    spread: float
    correlation: float


def agreement(scan: Float[np.ndarray, " v"], target: Float[np.ndarray, " v"]) -> Agreement:
    """Compare two measurements of the same voxels; the correlation with what does not vary is 0."""
    difference = np.asarray(scan, float) - target
    varies = min(np.std(scan), np.std(target)) > 0
    correlation = float(np.corrcoef(scan, target)[0, 1]) if varies else 0.0
    return Agreement(float(difference.mean()), float(difference.std()), correlation)


def agreement_figure(compared: Sequence[Compared], quantity: str, unit: str, caption: str) -> Drawing:
    """Joint histograms above, Bland-Altman below; a column for each region before and after, on the same axes.

    Raises
    ------
    ValueError
        If a region has no voxel, or none is given.
    """
    if not compared or any(not one.target.size for one in compared):
        msg = "nothing to compare"
        raise ValueError(msg)
    with style():
        figure = Figure(figsize=(11, 5.6), layout="constrained")
        top, bottom = map(iter, figure.subplots(2, sum(len(one.scans) for one in compared), squeeze=False))
        for one in compared:
            _joint([next(top) for _ in one.scans], one, quantity, unit)
            _bland_altman([next(bottom) for _ in one.scans], one, quantity, unit)
        names = ", ".join(one.region for one in compared)
        alt = f"Joint histograms and Bland-Altman plots of {quantity}, scan and target, before and after, in {names}"
        return draw_pixels(figure, f"agreement{quantity}", caption, alt)


def _joint(panels: Sequence[Axes], one: Compared, quantity: str, unit: str) -> None:
    """Scan over target; on the line both measure the same."""
    low, high = np.percentile(np.concatenate([one.target, *one.scans.values()]), WITHIN)
    for axes, (time, values) in zip(panels, one.scans.items(), strict=True):
        found = agreement(values, one.target)
        _density(axes, one.target, values, ((low, high), (low, high)))
        axes.plot([low, high], [low, high], color=RED, linewidth=1.2)
        axes.set_title(f"{one.region}\n{time}: r = {found.correlation:.2f}", fontsize=8.5)
        axes.set_xlabel(f"target's {quantity}{unit}", fontsize=8)
        axes.set_ylabel(f"{quantity} {time}{unit}", fontsize=8)
        axes.set_aspect("equal")


def _bland_altman(panels: Sequence[Axes], one: Compared, quantity: str, unit: str) -> None:
    """Difference over mean, with its mean and the limits of agreement."""
    means = {time: (values + one.target) / 2 for time, values in one.scans.items()}
    differences = {time: values - one.target for time, values in one.scans.items()}
    across = tuple(np.percentile(np.concatenate(list(means.values())), WITHIN))
    reach = float(np.percentile(np.abs(np.concatenate(list(differences.values()))), WITHIN[1]))
    for axes, time in zip(panels, one.scans, strict=True):
        found = agreement(one.scans[time], one.target)
        _density(axes, means[time], differences[time], (across, (-reach, reach)))
        axes.axhline(0, color=DARK, linewidth=0.6)
        axes.axhline(found.bias, color=RED, linewidth=1.4)
        for side in (-LIMITS, LIMITS):
            axes.axhline(found.bias + side * found.spread, color=RED, linewidth=1, linestyle="--")
        axes.set_title(f"bias {found.bias:+.3f}, limits ±{LIMITS * found.spread:.3f}", fontsize=8.5)
        axes.set_xlabel(f"mean of {time} and target{unit}", fontsize=8)
        axes.set_ylabel(f"{time} - target{unit}", fontsize=8)


def _density(
    axes: Axes,
    across: Float[np.ndarray, " v"],
    up: Float[np.ndarray, " v"],
    ends: tuple[tuple[float, float], tuple[float, float]],
) -> None:
    """Count voxels in squares; colours go with the logarithm, empty squares stay white."""
    counts, x, y = np.histogram2d(across, up, bins=BINS, range=ends)
    shown = np.where(counts.T > 0, counts.T, np.nan)
    axes.pcolormesh(x, y, shown, cmap=CMAP, norm=LogNorm(1, max(2, counts.max())))
    axes.tick_params(labelsize=7)
