from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.report.figures.resblocks import draw_sweep, sweep_table
from tests.report.drawings import assert_is_described, assert_is_reproducible

LOSSES = {1: (0.004, 0.006), 2: (0.001, 0.003), 3: (0.005,)}  # by number of ResBlocks


def sweep_rows() -> list[dict[str, int | float]]:
    return [
        {"resblocks": resblocks, "fold": fold, "validation_loss": loss}
        for resblocks, losses in LOSSES.items()
        for fold, loss in enumerate(losses)
    ]


def test_the_table_has_means_and_standard_deviations_times_100() -> None:
    rows = sweep_table(reversed(sweep_rows()))
    assert [row.resblocks for row in rows] == [1, 2, 3]
    assert [row.folds for row in rows] == [2, 2, 1]
    assert [row.mean for row in rows] == pytest.approx([0.5, 0.2, 0.5])
    deviations = [row.standard_deviation for row in rows]
    assert deviations == pytest.approx([np.sqrt(2) / 10, np.sqrt(2) / 10, np.nan], nan_ok=True)


@pytest.mark.slow
def test_the_figure_is_reproducible_and_names_the_lowest_mean() -> None:
    assert_is_reproducible(lambda: draw_sweep(sweep_rows()))
    assert_is_described(draw_sweep(sweep_rows()))
    assert "at 2;" in draw_sweep(sweep_rows()).caption
