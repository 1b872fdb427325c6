"""Validation error against the number of ResBlocks, as in Table 1 of Koppers et al. 2018."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bids_shresnet.io.storage import read_tsv
from bids_shresnet.report.style import (
    DARK,
    FAINT,
    ORANGE,
    Drawing,
    figure_style,
    render_figure,
    style_axes,
)

MSE_DISPLAY_FACTOR = 100  # the paper's table gives the MSE of S/S0 times 100


@dataclass(frozen=True)
class SweepRow:
    """Validation MSE x 100 of networks with one number of ResBlocks.

    Attributes
    ----------
    mean, standard_deviation
        Over the folds; the standard deviation of a single fold is NaN.
    """

    resblocks: int
    folds: int
    mean: float
    standard_deviation: float


def read_sweep(table: Path) -> list[Mapping[str, int | float]]:
    """Read validation errors by number of ResBlocks and fold; no rows if there is no table."""
    rows = read_tsv(table) if table.exists() else []
    return [
        {
            "resblocks": int(row["resblocks"]),
            "fold": int(row["fold"]),
            "validation_loss": float(row["validation_loss"]),
        }
        for row in rows
    ]


def sweep_table(rows: Iterable[Mapping[str, int | float]]) -> tuple[SweepRow, ...]:
    """Average over folds, from rows with `resblocks`, `fold` and `validation_loss`."""
    table = []
    for resblocks, losses in sorted(_losses_by_resblocks(rows).items()):
        deviation = float(np.std(losses, ddof=1)) if len(losses) > 1 else float("nan")
        table.append(SweepRow(resblocks, len(losses), float(np.mean(losses)), deviation))
    return tuple(table)


def draw_sweep(rows: Sequence[Mapping[str, int | float]]) -> Drawing:
    """Draw mean, standard deviation and each fold as a point; the lowest mean is marked."""
    table = sweep_table(rows)
    best = min(table, key=lambda row: row.mean)
    with figure_style():
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        for resblocks, losses in _losses_by_resblocks(rows).items():
            axes.plot([resblocks] * len(losses), losses, ".", color=FAINT, markersize=5, zorder=1)
        _draw_means(axes, table, best)
        axes.set_xlabel("number of ResBlocks")
        axes.set_ylabel("validation MSE of S/S0 (10⁻²)")
        style_axes(axes, "y")
        alt = "Validation error against the number of ResBlocks"
        return render_figure(figure, "resblocks", _caption(table, best), alt)


def _draw_means(axes: Axes, table: Sequence[SweepRow], best: SweepRow) -> None:
    resblocks = [row.resblocks for row in table]
    means = [row.mean for row in table]
    deviations = np.nan_to_num([row.standard_deviation for row in table])
    axes.errorbar(resblocks, means, yerr=deviations, marker="o", color=DARK, capsize=4, zorder=2)
    axes.plot(
        best.resblocks,
        best.mean,
        marker="D",
        color=ORANGE,
        markeredgecolor=DARK,
        markersize=10,
        zorder=3,
    )
    axes.set_xticks(resblocks)


def _losses_by_resblocks(rows: Iterable[Mapping[str, int | float]]) -> dict[int, list[float]]:
    """Losses x 100 by number of ResBlocks."""
    losses: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        losses[int(row["resblocks"])].append(MSE_DISPLAY_FACTOR * row["validation_loss"])
    return losses


def _caption(table: Sequence[SweepRow], best: SweepRow) -> str:
    folds = max(row.folds for row in table)
    return (
        f"Validation error against the number of ResBlocks: mean and standard deviation over "
        f"{folds} folds. A grey point is one fold. The diamond marks the lowest mean, at "
        f"{best.resblocks}; if bars overlap, the order of the means may be chance. The validation "
        "subject also stopped the training, so these errors are somewhat too low."
    )
