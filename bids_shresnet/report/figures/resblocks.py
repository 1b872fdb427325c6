"""Validation error against the number of ResBlocks, as the table and figure of Koppers et al. 2018, Table 1."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
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
    """Validation MSE x 100 of one number of ResBlocks: mean and standard deviation over folds (NaN for one fold)."""

    resblocks: int
    folds: int
    mean: float
    standard_deviation: float


def read_sweep(table: Path) -> list[Mapping[str, int | float]]:
    """Validation errors by number of ResBlocks and fold; none where that was not tried."""
    rows = read_tsv(table) if table.exists() else []
    kinds = {"resblocks": int, "fold": int, "validation_loss": float}
    return [{name: kind(row[name]) for name, kind in kinds.items()} for row in rows]


def sweep_table(rows: Iterable[Mapping[str, int | float]]) -> tuple[SweepRow, ...]:
    """One line a number of ResBlocks, from rows with `resblocks`, `fold` and `validation_loss`."""
    table = []
    for resblocks, losses in sorted(_losses_by_resblocks(rows).items()):
        spread = float(np.std(losses, ddof=1)) if len(losses) > 1 else float("nan")
        table.append(SweepRow(resblocks, len(losses), float(np.mean(losses)), spread))
    return tuple(table)


def draw_sweep(rows: Sequence[Mapping[str, int | float]]) -> Drawing:
    """Mean and standard deviation over folds, and each fold as a point; the lowest mean is marked."""
    table, losses = sweep_table(rows), _losses_by_resblocks(rows)
    best = min(table, key=lambda row: row.mean)
    with figure_style():
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.subplots()
        for resblocks, values in losses.items():
            axes.plot([resblocks] * len(values), values, ".", color=FAINT, markersize=5, zorder=1)
        x, means = [row.resblocks for row in table], [row.mean for row in table]
        spread = np.nan_to_num([row.standard_deviation for row in table])
        axes.errorbar(x, means, yerr=spread, marker="o", color=DARK, capsize=4, zorder=2)
        axes.plot(
            best.resblocks,
            best.mean,
            "D",
            color=ORANGE,
            markeredgecolor=DARK,
            markersize=10,
            zorder=3,
        )
        axes.set_xticks(x)
        axes.set_xlabel("number of ResBlocks")
        axes.set_ylabel("validation MSE of S/S0, in units of 0.01")
        style_axes(axes, "y")
        return render_figure(
            figure,
            "resblocks",
            _caption(table, best),
            "Validation error against the number of ResBlocks",
        )


def _losses_by_resblocks(rows: Iterable[Mapping[str, int | float]]) -> dict[int, list[float]]:
    """Losses x 100 by number of ResBlocks."""
    losses: dict[int, list[float]] = {}
    for row in rows:
        losses.setdefault(int(row["resblocks"]), []).append(
            MSE_DISPLAY_FACTOR * row["validation_loss"]
        )
    return losses


def _caption(table: Sequence[SweepRow], best: SweepRow) -> str:
    folds = max(row.folds for row in table)
    return (
        f"Validation error against the number of ResBlocks: mean and standard deviation over {folds} folds, each fold "
        f"a grey point. The diamond marks the lowest mean, at {best.resblocks}; where bars overlap, the order of the "
        "means may be chance. The validation subject also stopped the training, so these errors are somewhat too low."
    )
