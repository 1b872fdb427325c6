"""How the folds of a model were trained: both losses by epoch, the change of stage, the epoch that was kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_shresnet.io.storage import read_tsv
from bids_shresnet.report.figures.resblocks import MSE_DISPLAY_FACTOR
from bids_shresnet.report.style import (
    DARK,
    FAINT,
    ORANGE,
    Drawing,
    figure_style,
    render_figure,
    style_axes,
)

LOSS_TITLES: Mapping[str, str] = {"training": "Training", "validation": "Validation"}


@dataclass(frozen=True)
class TrainingCurve:
    """A fold.

    Attributes
    ----------
    epochs, stages
        One an epoch.
    training, validation
        Mean squared error of S/S0 after each epoch.
    best_index
        Place of the epoch whose network was kept.
    """

    fold: int
    epochs: tuple[int, ...]
    stages: tuple[str, ...]
    training: tuple[float, ...]
    validation: tuple[float, ...]
    best_index: int

    @property
    def stage_changes(self) -> tuple[int, ...]:
        """First epochs of all stages but the first."""
        steps = zip(self.epochs[1:], pairwise(self.stages), strict=True)
        return tuple(epoch for epoch, (before, now) in steps if before != now)


def read_curves(table: Path, best_epochs: Sequence[int | None]) -> tuple[TrainingCurve, ...]:
    """Curves of all folds from training.tsv; none of methods that are fitted in closed form.

    `kept` is the epoch that was kept, fold by fold.
    """
    rows = read_tsv(table) if table.exists() else []
    curves = []
    for fold, group in groupby(rows, lambda row: int(row["fold"])):
        some = list(group)
        training, validation = (
            tuple(float(row[f"{name}_loss"]) for row in some) for name in LOSS_TITLES
        )
        epochs, stages = (
            tuple(int(row["epoch"]) for row in some),
            tuple(row["stage"] for row in some),
        )
        curves.append(
            TrainingCurve(
                fold, epochs, stages, training, validation, epochs.index(best_epochs[fold - 1] or 0)
            )
        )
    return tuple(curves)


def draw_training_curves(curves: Sequence[TrainingCurve]) -> Drawing:
    """A panel a loss, with the same axes; a line a fold."""
    with figure_style():
        figure = Figure(figsize=(7.5, 3.8), layout="constrained")
        for axes, (name, title) in zip(
            figure.subplots(1, 2, sharey=True), LOSS_TITLES.items(), strict=True
        ):
            _draw_loss_panel(axes, curves, name)
            axes.set_title(title, fontweight="bold")
            axes.set_xlabel("epoch")
            axes.locator_params(axis="x", integer=True)
            style_axes(axes, "y")
        figure.axes[0].set_ylabel("MSE of S/S0, in units of 0.01")
        alt = f"Training and validation error by epoch of {len(curves)} folds"
        return render_figure(figure, "training", _caption(curves), alt)


def _draw_loss_panel(axes: Axes, curves: Sequence[TrainingCurve], name: str) -> None:
    for curve in curves:
        losses = MSE_DISPLAY_FACTOR * np.array(getattr(curve, name))
        axes.plot(curve.epochs, losses, color=FAINT, linewidth=0.9, zorder=1)
        kept = (curve.epochs[curve.best_index], losses[curve.best_index])
        axes.plot(*kept, "D", color=ORANGE, markeredgecolor=DARK, markersize=6, zorder=3)
    for epoch in sorted({epoch for curve in curves for epoch in curve.stage_changes}):
        axes.axvline(epoch - 0.5, color=DARK, linestyle="--", linewidth=1)


def _caption(curves: Sequence[TrainingCurve]) -> str:
    stages = list(dict.fromkeys(stage for curve in curves for stage in curve.stages))
    change = (
        f"the dashed line is where {stages[0]} hands over to {stages[1]}"
        if len(stages) > 1
        else f"there was one stage only ({stages[0]})"
    )
    return (
        f"Training error and error on the validation subject by epoch, {len(curves)} folds, a line each. The diamond "
        f"marks the epoch whose network was kept, the one with the lowest validation error; {change}. Folds are at "
        "different heights because their subjects and the noise of these differ."
    )
