"""Training curves of the folds: both losses by epoch, the change of stage and the kept epoch."""

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


@dataclass(frozen=True)
class TrainingCurve:
    """Losses of one fold.

    Attributes
    ----------
    epochs, stages
        Number and stage of each epoch.
    training, validation
        Mean squared error of S/S0 after each epoch.
    best_index
        Index of the epoch whose network was kept.
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
        return tuple(epoch for epoch, (previous, stage) in steps if previous != stage)


def read_curves(table: Path, best_epochs: Sequence[int | None]) -> tuple[TrainingCurve, ...]:
    """Read the curves of all folds from training.tsv.

    Methods that are fitted in closed form have no table and no curves.

    Parameters
    ----------
    best_epochs
        The epoch that was kept, fold by fold.
    """
    rows = read_tsv(table) if table.exists() else []
    by_fold = groupby(rows, lambda row: int(row["fold"]))
    return tuple(
        _make_curve(fold, list(fold_rows), best_epochs[fold - 1] or 0)
        for fold, fold_rows in by_fold
    )


def _make_curve(fold: int, rows: Sequence[Mapping[str, str]], best_epoch: int) -> TrainingCurve:
    """Make the curve of one fold from its rows, one per epoch."""
    epochs = tuple(int(row["epoch"]) for row in rows)
    return TrainingCurve(
        fold=fold,
        epochs=epochs,
        stages=tuple(row["stage"] for row in rows),
        training=tuple(float(row["training_loss"]) for row in rows),
        validation=tuple(float(row["validation_loss"]) for row in rows),
        best_index=epochs.index(best_epoch),
    )


def draw_training_curves(curves: Sequence[TrainingCurve]) -> Drawing:
    """Draw one panel per loss with the same axes, and one line per fold."""
    stage_changes = sorted({epoch for curve in curves for epoch in curve.stage_changes})
    with figure_style():
        figure = Figure(figsize=(7.5, 3.8), layout="constrained")
        training_axes, validation_axes = figure.subplots(1, 2, sharey=True)
        for curve in curves:
            _draw_curve(training_axes, curve, curve.training)
            _draw_curve(validation_axes, curve, curve.validation)
        _style_panel(training_axes, "Training", stage_changes)
        _style_panel(validation_axes, "Validation", stage_changes)
        training_axes.set_ylabel("MSE of S/S0 (10⁻²)")
        alt = f"Training and validation error by epoch of {len(curves)} folds"
        return render_figure(figure, "training", _caption(curves), alt)


def _draw_curve(axes: Axes, curve: TrainingCurve, losses: Sequence[float]) -> None:
    losses = (MSE_DISPLAY_FACTOR * np.array(losses)).tolist()
    axes.plot(curve.epochs, losses, color=FAINT, linewidth=0.9, zorder=1)
    axes.plot(
        curve.epochs[curve.best_index],
        losses[curve.best_index],
        marker="D",
        color=ORANGE,
        markeredgecolor=DARK,
        markersize=6,
        zorder=3,
    )


def _style_panel(axes: Axes, title: str, stage_changes: Sequence[int]) -> None:
    for epoch in stage_changes:
        axes.axvline(epoch - 0.5, color=DARK, linestyle="--", linewidth=1)
    axes.set_title(title, fontweight="bold")
    axes.set_xlabel("epoch")
    axes.locator_params(axis="x", integer=True)
    style_axes(axes, "y")


def _caption(curves: Sequence[TrainingCurve]) -> str:
    stages = list(dict.fromkeys(stage for curve in curves for stage in curve.stages))
    if len(stages) > 1:
        change = f"The dashed line is the change from {stages[0]} to {stages[1]}."
    else:
        change = f"There was only one stage ({stages[0]})."
    return (
        f"Error on the training subjects and on the validation subject by epoch, one line for each "
        f"of {len(curves)} folds. The diamond marks the epoch whose network was kept, the one with "
        f"the lowest validation error. {change} The level of the lines differs between folds, "
        "because their subjects and the noise of these differ."
    )
