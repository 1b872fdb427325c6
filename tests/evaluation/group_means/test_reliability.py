from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from bids_shresnet.evaluation.group_means.reliability import (
    between_subject_slope,
    detectable_change,
    intraclass_correlation,
)

# Four judges rate six targets: Shrout and Fleiss (1979), Table 2
JUDGES = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]],
    dtype=float,
)


def two_scanners(rng: np.random.Generator, *, n: int = 12) -> np.ndarray:
    """Subjects, scanners and noise have standard deviations of 3, 1 and 1: the ICC is 9/11."""
    subjects = rng.normal(0, 3, (n, 1))
    scanners = rng.normal(0, 1, (1, 2))
    return np.asarray(subjects + scanners + rng.normal(0, 1, (n, 2)))


def test_the_icc_is_that_of_shrout_and_fleiss() -> None:
    """The table says .29; the interval is that of the R packages psych and irr."""
    estimate = intraclass_correlation(JUDGES)
    assert round(estimate.value, 2) == 0.29
    assert np.round(estimate.interval, 3) == pytest.approx([0.019, 0.761])


def test_the_mean_squares_are_those_of_a_two_way_analysis_of_variance() -> None:
    """ICC(2,1) from the sums of squares that statsmodels finds for the same table."""
    n, k = JUDGES.shape
    subjects = np.repeat(np.arange(n), k)
    judges = np.tile(np.arange(k), n)
    design = np.column_stack([np.eye(n)[subjects], np.eye(k)[judges][:, 1:]])
    ratings = JUDGES.ravel()
    residual = sm.OLS(ratings, design).fit().mse_resid
    subject_square = k * JUDGES.mean(axis=1).var(ddof=1)
    judge_square = n * JUDGES.mean(axis=0).var(ddof=1)
    expected = (subject_square - residual) / (
        subject_square + (k - 1) * residual + k * (judge_square - residual) / n
    )
    assert intraclass_correlation(JUDGES).value == pytest.approx(expected)


def test_the_icc_does_not_depend_on_the_unit() -> None:
    estimate = intraclass_correlation(JUDGES)
    scaled = intraclass_correlation(5 + 1e-4 * JUDGES)
    assert scaled.value == pytest.approx(estimate.value)
    assert scaled.interval == pytest.approx(estimate.interval)


def test_the_interval_of_the_icc_covers_the_truth_as_often_as_stated() -> None:
    """300 repetitions leave 1.3 %; Satterthwaite's approximation is close for two scanners."""
    rng = np.random.default_rng(1)
    intervals = [intraclass_correlation(two_scanners(rng)).interval for _ in range(300)]
    coverage = np.mean([low < 9 / 11 < high for low, high in intervals])
    assert 0.91 <= coverage <= 0.99


def test_scans_that_agree_exactly_have_an_icc_of_1() -> None:
    values = np.array([1.0, 2.0, 4.0, 8.0])
    assert intraclass_correlation(np.column_stack([values, values])) == (1, (1, 1))


def test_equal_values_have_no_icc() -> None:
    with pytest.raises(ValueError, match="equal"):
        intraclass_correlation(np.ones((5, 2)))


@pytest.mark.parametrize("slope", [0.5, 1.0, 1.3])
def test_shrinking_subjects_to_their_mean_by_a_factor_is_the_slope(slope: float) -> None:
    reference = np.array([0.41, 0.44, 0.39, 0.47, 0.43])
    estimate = between_subject_slope(reference, 0.2 + slope * (reference - reference.mean()))
    assert estimate.value == pytest.approx(slope)
    assert estimate.interval == pytest.approx((slope, slope))


def test_the_interval_of_the_slope_is_that_of_ordinary_least_squares() -> None:
    rng = np.random.default_rng(2)
    reference = rng.normal(0, 1, 9)
    values = 0.8 * reference + rng.normal(0, 0.3, 9)
    fit = sm.OLS(values, sm.add_constant(reference)).fit()
    estimate = between_subject_slope(reference, values)
    assert (estimate.value, *estimate.interval) == pytest.approx(
        (fit.params[1], *fit.conf_int()[1])
    )


def test_95_percent_of_differences_between_scanners_stay_below_the_detectable_change() -> None:
    differences = np.random.default_rng(3).normal(0, 0.02, 20000)
    change = float(detectable_change(differences))
    assert np.mean(np.abs(differences) < change) == pytest.approx(0.95, abs=0.005)
    assert change == pytest.approx(stats.norm.ppf(0.975) * 0.02, rel=0.02)


def test_a_bias_between_scanners_counts_as_measurement_error() -> None:
    assert float(detectable_change(np.full(5, 0.03))) == pytest.approx(1.96 * 0.03)


@pytest.mark.parametrize("n", [1, 2])
def test_fewer_than_three_subjects_are_refused(n: int) -> None:
    with pytest.raises(ValueError, match="at least 3 subjects"):
        intraclass_correlation(np.arange(2.0 * n).reshape(n, 2))
    with pytest.raises(ValueError, match="at least 3 subjects"):
        between_subject_slope(np.arange(float(n)), np.arange(float(n)))
