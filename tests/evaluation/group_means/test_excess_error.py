from __future__ import annotations

from math import inf

import numpy as np
import pytest

from bids_shresnet.evaluation.group_means.excess_error import summarize_excess
from bids_shresnet.evaluation.statistics import Interval
from tests.evaluation.tables import held_out_results, white_matter_fa

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


def interval_of(errors: list[float], input_errors: list[float], floors: list[float]) -> Interval:
    (result,) = summarize_excess(
        [
            *white_matter_fa("shresnet", errors),
            *white_matter_fa("no_harmonization", input_errors),
            *white_matter_fa("scan_rescan", floors),
        ],
        "shresnet",
    )
    low, high = result.interval
    assert low <= result.removed <= high
    return low, high


FEW_WITH_EXCESS = {"input_errors": [0.05, 0.06, 0.05, 0.06, 0.02], "floors": [0.02] * 4 + [0.06]}


def test_where_resamples_have_no_excess_there_is_no_limit_to_what_is_removed() -> None:
    low, high = interval_of([0.03, 0.03, 0.02, 0.03, 0.01], **FEW_WITH_EXCESS)
    assert 0 < low < inf
    assert high == inf


def test_nor_to_what_is_added() -> None:
    low, high = interval_of([0.08, 0.07, 0.06, 0.09, 0.03], **FEW_WITH_EXCESS)
    assert low == -inf
    assert -inf < high < 0


def test_a_method_that_changes_nothing_removes_nothing_of_any_excess() -> None:
    errors = FEW_WITH_EXCESS["input_errors"]
    assert interval_of(errors, **FEW_WITH_EXCESS) == (0, 0)


def test_an_excess_of_all_subjects_has_an_interval_with_both_limits() -> None:
    floors = [0.01, 0.02, 0.015, 0.02, 0.01]
    interval = interval_of([0.02, 0.03, 0.02, 0.03, 0.01], [0.05, 0.06, 0.05, 0.06, 0.03], floors)
    assert np.isfinite(interval).all()
