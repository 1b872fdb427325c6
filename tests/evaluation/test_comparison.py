from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_shresnet.evaluation.comparison import (
    Endpoint,
    compare_methods,
    subject_means,
    summarize_bias,
)
from bids_shresnet.evaluation.results import INTERIOR_PLACES, HeldOutResult
from bids_shresnet.evaluation.statistics import adjust_p_values, smallest_p_value, wilcoxon_p_value
from tests.evaluation.tables import held_out_results, white_matter_fa


@pytest.mark.parametrize("n", [1, 3, 5, 10])
def test_a_method_that_is_better_in_all_subjects_reaches_the_smallest_p(n: int) -> None:
    for comparison in compare_methods(held_out_results(n), "shresnet", ["no_harmonization"]):
        assert comparison.p_floor == smallest_p_value(n)
        assert comparison.p == pytest.approx(comparison.p_floor, rel=1e-12)
        assert comparison.improved_share == 1


def test_p_is_that_of_the_paired_differences_of_the_endpoint() -> None:
    rows = held_out_results(8, spread=0.95)
    errors = {
        method: np.array([row.nmse for row in rows if _is_grey_md(row) and row.method == method])
        for method in ("shresnet", "order_gain")
    }
    (comparison,) = filter(_is_grey_md, compare_methods(rows, "shresnet", ["order_gain"]))
    assert comparison.p == wilcoxon_p_value(errors["shresnet"] - errors["order_gain"])
    assert comparison.p_floor < comparison.p < 1


def _is_grey_md(row: object) -> bool:
    return (getattr(row, "tissue", ""), getattr(row, "quantity", "")) == ("GM", "MD")


def test_better_in_exactly_half_of_the_subjects_is_not_better() -> None:
    """Half of the subjects gain much, the others lose little."""
    rows = [
        *white_matter_fa("shresnet", [0.1, 0.1, 0.51, 0.51]),
        *white_matter_fa("order_gain", [0.5, 0.5, 0.5, 0.5]),
    ]
    (comparison,) = compare_methods(rows, "shresnet", ["order_gain"])
    assert comparison.decrease > 0
    assert comparison.improved_share == 0.5
    assert not comparison.is_better


def test_p_is_adjusted_over_the_whole_table() -> None:
    rows = held_out_results(9, spread=0.95)
    table = compare_methods(rows, "shresnet", ["no_harmonization", "order_gain"])
    assert len(table) == 2 * 6
    adjusted = adjust_p_values([comparison.p for comparison in table])
    assert tuple(comparison.p_holm for comparison in table) == adjusted


def test_methods_that_agree_everywhere_do_not_differ() -> None:
    rows = held_out_results(7, {"no_harmonization": 0.02, "shresnet": 0.02}, spread=0)
    for comparison in compare_methods(rows, "shresnet", ["no_harmonization"]):
        assert (comparison.p, comparison.decrease, comparison.interval) == (1, 0, (0, 0))
        assert not comparison.is_better


def test_a_common_factor_on_the_error_is_the_decrease_and_its_whole_interval() -> None:
    rows = held_out_results(6, {"no_harmonization": 0.04, "shresnet": 0.01}, spread=0)
    for comparison in compare_methods(rows, "shresnet", ["no_harmonization"]):
        assert comparison.decrease == pytest.approx(0.75)
        assert comparison.interval == pytest.approx((0.75, 0.75))


def test_only_subjects_and_endpoints_that_both_methods_have_are_compared() -> None:
    rows = [
        row
        for row in held_out_results(6)
        if row.method != "no_harmonization" or (row.subject != "00" and row.quantity != "signal")
    ]
    table = compare_methods(rows, "shresnet", ["no_harmonization", "golkov"])
    assert {(item.baseline, item.quantity, item.n) for item in table} == {
        ("no_harmonization", "FA", 5),
        ("no_harmonization", "MD", 5),
    }


def test_a_subject_counts_once_however_many_folds_it_is_in() -> None:
    rows = held_out_results(6)
    other_fold = [replace(row, fold=9) for row in rows]
    table = compare_methods(rows, "shresnet", ["no_harmonization"])
    assert compare_methods(rows + other_fold, "shresnet", ["no_harmonization"]) == table


def test_errors_of_the_interior_count_only_where_they_are_asked_for() -> None:
    rows = held_out_results(6)
    both = [*rows, *(replace(row, places=INTERIOR_PLACES, nmse=row.nmse / 2) for row in rows)]
    table = compare_methods(rows, "shresnet", ["no_harmonization"])
    assert compare_methods(both, "shresnet", ["no_harmonization"]) == table
    endpoint = Endpoint("shresnet", "WM", "FA")
    inside = subject_means(both, endpoint, places=INTERIOR_PLACES)
    assert inside == {label: mean / 2 for label, mean in subject_means(rows, endpoint).items()}


def test_against_a_method_that_corrects_means_the_error_is_that_of_the_mean() -> None:
    rows = held_out_results(6, {"combat_mean": 0.2, "shresnet": 0.1})
    for comparison in compare_methods(rows, "shresnet", ["combat_mean"]):
        assert comparison.is_mean_error
        assert comparison.error == pytest.approx(0.1**2)
        assert comparison.decrease == pytest.approx(0.75)


def test_a_lower_mean_is_not_better_if_most_subjects_are_worse() -> None:
    baseline = white_matter_fa("no_harmonization", [0.01] * 9 + [1.0])
    method = white_matter_fa("shresnet", [0.011 + k * 1e-4 for k in range(9)] + [0.1])
    (comparison,) = compare_methods(baseline + method, "shresnet", ["no_harmonization"])
    assert comparison.decrease > 0.8
    assert not comparison.is_better


def test_site_bias_keeps_its_sign() -> None:
    rows = white_matter_fa("no_harmonization", [0.1, 0.1, 0.1])
    biased: list[HeldOutResult] = [
        replace(row, bias=bias) for row, bias in zip(rows, (-0.3, -0.1, 0.1), strict=True)
    ]
    (summary,) = summarize_bias(biased)
    assert summary.mean == pytest.approx(-0.1)
    assert summary.interval[0] < -0.1 < summary.interval[1]


def test_fewer_than_three_subjects_have_no_intervals() -> None:
    rows = held_out_results(2)
    table = compare_methods(rows, "shresnet", ["no_harmonization"])
    assert np.isnan([comparison.interval for comparison in table]).all()
    assert np.isnan([bias.interval for bias in summarize_bias(rows)]).all()
