from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.evaluation.group_means.excess_error import summarize_excess
from tests.evaluation.tables import held_out_results

ERRORS = {"no_harmonization": 0.05, "scan_rescan": 0.02, "shresnet": 0.029}


@pytest.mark.parametrize(
    ("error", "removed"), [(0.02, 1.0), (0.029, 0.7), (0.05, 0.0), (0.01, 4 / 3)]
)
def test_the_share_lies_between_no_harmonization_and_a_second_scan(
    error: float, removed: float
) -> None:
    rows = held_out_results(6, ERRORS | {"shresnet": error}, spread=0)
    results = summarize_excess(rows, "shresnet")
    assert len(results) == 6
    for result in results:
        assert result.removed == pytest.approx(removed)
        assert result.interval == pytest.approx((removed, removed))
        assert result.n == 6


def test_only_subjects_with_a_second_scan_count() -> None:
    rows = [
        row
        for row in held_out_results(6, ERRORS, spread=0)
        if row.method != "scan_rescan" or row.subject in ("01", "04")
    ]
    for result in summarize_excess(rows, "shresnet"):
        assert result.n == 2
        assert result.removed == pytest.approx(0.7)
        assert np.isnan(result.interval).all()
        second_scans = [
            row.nmse
            for row in rows
            if (row.method, row.tissue, row.quantity)
            == ("scan_rescan", result.tissue, result.quantity)
        ]
        assert result.scan_rescan_error == pytest.approx(np.mean(second_scans))


def test_nothing_is_said_without_second_scans_or_without_excess() -> None:
    assert summarize_excess(held_out_results(6), "shresnet") == ()
    rows = held_out_results(6, ERRORS | {"no_harmonization": 0.01}, spread=0)
    assert summarize_excess(rows, "shresnet") == ()
