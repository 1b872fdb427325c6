from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import rankdata, ttest_1samp
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import DescrStatsW

from bids_shresnet.evaluation.statistics import (
    adjust_p_values,
    bootstrap_interval,
    equivalence_p_value,
    error_decrease,
    sample_mean,
    smallest_p_value,
    student_interval,
    wilcoxon_p_value,
)


@pytest.mark.parametrize("count", [1, 2, 7, 66])
def test_p_values_are_adjusted_as_by_statsmodels(count: int) -> None:
    p_values = np.random.default_rng(count).integers(1, 40, count) / 400  # with ties
    _, expected, _, _ = multipletests(p_values, method="holm")
    np.testing.assert_allclose(adjust_p_values(p_values.tolist()), expected, rtol=1e-12)


def test_no_p_values_need_no_adjustment() -> None:
    assert adjust_p_values([]) == ()


@pytest.mark.parametrize(("n", "floor"), [(1, 0.5), (3, 0.125), (5, 0.03125), (10, 0.0009765625)])
def test_negative_differences_reach_the_smallest_p_of_1_over_2_to_the_n(
    n: int, floor: float
) -> None:
    assert smallest_p_value(n) == floor
    assert wilcoxon_p_value(-np.arange(1.0, n + 1)) == pytest.approx(floor, rel=1e-12)
    assert wilcoxon_p_value(np.arange(1.0, n + 1)) == pytest.approx(1, rel=1e-12)


def test_p_is_the_share_of_sign_patterns_with_as_low_a_sum_of_ranks() -> None:
    differences = -np.array([0.3, -0.1, 0.7, 0.45, -0.2, 1.1, 0.6, 0.05])
    ranks = rankdata(np.abs(differences))
    sums = np.array(list(product([-1, 1], repeat=8))) @ ranks
    observed = np.sign(differences) @ ranks
    assert wilcoxon_p_value(differences) == pytest.approx(np.mean(sums <= observed))


def test_methods_that_agree_everywhere_have_p_1() -> None:
    assert wilcoxon_p_value(np.zeros(7)) == 1


@pytest.mark.parametrize("n", [5, 10])
def test_the_interval_covers_the_true_mean_as_often_as_stated(n: int) -> None:
    """200 repetitions leave 1.5 %; plain percentiles of 5 values would cover 83 %."""
    rng = np.random.default_rng(3)
    intervals = np.array(
        [bootstrap_interval(rng.normal(0.3, 1, (1, n)), sample_mean) for _ in range(200)]
    )
    coverage = np.mean((intervals[:, 0] < 0.3) & (intervals[:, 1] > 0.3))
    assert 0.90 <= coverage <= 0.99


def test_fewer_than_three_subjects_have_no_interval() -> None:
    assert np.isnan(bootstrap_interval(np.ones((1, 2)), sample_mean)).all()


def test_the_decrease_is_undefined_against_a_baseline_without_error() -> None:
    errors = np.array([[[0.1, 0.3]], [[0.0, 0.0]]])
    assert np.isnan(error_decrease(errors)).all()
    assert error_decrease(errors + 0.2) == pytest.approx([1 - 0.4 / 0.2])


@pytest.mark.parametrize("mean", [-0.03, -0.012, 0.0, 0.015, 0.05])
def test_the_p_of_equivalence_is_that_of_two_one_sided_t_tests(mean: float) -> None:
    values = np.random.default_rng(4).normal(mean, 0.02, 9)
    expected, _, _ = DescrStatsW(values).ttost_mean(-0.02, 0.02)
    assert equivalence_p_value(values, 0.02) == pytest.approx(expected, rel=1e-9)


def test_values_are_equivalent_where_their_90_percent_interval_lies_within_the_margin() -> None:
    rng = np.random.default_rng(5)
    count = 0
    for mean in np.linspace(-0.03, 0.03, 40):
        values = rng.normal(mean, 0.01, 6)
        low, high = student_interval(values, 0.9)
        is_equivalent = equivalence_p_value(values, 0.02) <= 0.05
        assert is_equivalent == (low >= -0.02 and high <= 0.02)
        count += is_equivalent
    assert 0 < count < 40


def test_a_mean_at_the_margin_is_called_equivalent_no_more_often_than_5_percent() -> None:
    """The exact level is 5 %; 1000 repetitions leave 0.7 %."""
    values = np.random.default_rng(6).normal(0.02, 0.005, (1000, 8))
    assert np.mean([equivalence_p_value(row, 0.02) <= 0.05 for row in values]) <= 0.065


def test_the_interval_of_the_mean_is_that_of_the_t_test() -> None:
    values = np.random.default_rng(7).normal(0.1, 1, 7)
    expected = ttest_1samp(values, 0).confidence_interval(0.9)
    assert student_interval(values, 0.9) == pytest.approx(tuple(expected))


def test_a_constant_bias_is_equivalent_only_within_the_margin() -> None:
    assert equivalence_p_value(np.zeros(4), 0.02) == 0
    assert equivalence_p_value(np.full(4, 0.25), 0.02) == 1


def test_equivalence_of_two_subjects_is_unknown() -> None:
    assert np.isnan(equivalence_p_value(np.zeros(2), 0.02))
    assert np.isnan(student_interval(np.zeros(2))).all()
