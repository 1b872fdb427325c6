from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import norm, rv_continuous, t

from bids_shresnet.evaluation.coverage import (
    CoverageRow,
    PredictedDeviation,
    calibrate_uncertainty,
    coverage_rows,
)
from bids_shresnet.evaluation.results import HeldOutRow

VOXELS = 4000
LEVELS = np.array([0.68, 0.95])


def subject_rows(
    label: str, *, scale: float, noise: float = 0.0, errors_of: rv_continuous = norm
) -> Iterator[CoverageRow]:
    """Errors that are `scale` times as large as predicted, plus normal noise that is known."""
    rng = np.random.default_rng(int(label))
    predicted = np.exp(rng.standard_normal(VOXELS) / 2)
    deviation = PredictedDeviation(predicted, np.full(VOXELS, noise))
    drawn = errors_of.rvs(size=VOXELS, random_state=rng)
    errors = scale * predicted * drawn + noise * rng.standard_normal(VOXELS)
    tissues = {"WM": np.arange(VOXELS) % 2 == 0, "GM": np.arange(VOXELS) % 2 == 1}
    row = HeldOutRow(subject=label, fold=int(label), method="shresnet")
    return coverage_rows(row, tissues, {"FA": errors}, {"FA": deviation})


@pytest.mark.parametrize("noise", [0.0, 2.0])
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_the_factor_is_the_size_of_the_errors_over_the_predicted_one(
    scale: float, noise: float
) -> None:
    rows = [row for label in "123" for row in subject_rows(label, scale=scale, noise=noise)]
    uncertainty = calibrate_uncertainty(rows)
    assert uncertainty is not None
    assert set(uncertainty.factors) == {("WM", "FA"), ("GM", "FA")}
    for factor in uncertainty.factors.values():
        assert factor == pytest.approx(scale, rel=0.2)
    for coverage in uncertainty.coverages:
        assert coverage.subjects == 3
        assert coverage.within_68 == pytest.approx(0.68, abs=0.03)
        assert coverage.within_95 == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("ratio", [2.0, 4.0])
def test_the_coverage_of_a_subject_uses_the_factor_of_the_others(ratio: float) -> None:
    """Of two subjects, one is covered with a factor too small by a ratio, the other too large."""
    rows = [*subject_rows("1", scale=1.0), *subject_rows("2", scale=ratio)]
    uncertainty = calibrate_uncertainty(rows)
    assert uncertainty is not None
    limits = norm.ppf((1 + LEVELS) / 2)
    expected = np.mean([2 * norm.cdf(limits * factor) - 1 for factor in (ratio, 1 / ratio)], axis=0)
    for coverage in uncertainty.coverages:
        covered = (coverage.within_68, coverage.within_95)
        assert covered == pytest.approx(expected.tolist(), abs=0.02)


@pytest.mark.parametrize("errors_of", [norm, t(4), t(2)], ids=["normal", "t4", "t2"])
def test_the_95_interval_is_right_for_tails_of_any_weight(errors_of: rv_continuous) -> None:
    """Its half width is the ratio of the quantiles of the errors, where they are not normal."""
    rows = [row for label in "123" for row in subject_rows(label, scale=2.0, errors_of=errors_of)]
    uncertainty = calibrate_uncertainty(rows)
    assert uncertainty is not None
    narrow, wide = errors_of.ppf((1 + LEVELS) / 2)
    expected = wide / narrow * norm.ppf((1 + LEVELS[0]) / 2)
    for coverage in uncertainty.coverages:
        assert coverage.within_68 == pytest.approx(0.68, abs=0.03)
        assert coverage.within_95 == pytest.approx(0.95, abs=0.02)
        assert coverage.coverage_factor_95 == pytest.approx(expected, rel=0.1)


def test_errors_that_grow_with_the_prediction_are_correlated_with_it() -> None:
    for row in subject_rows("1", scale=1.0):
        assert 0.3 < row.rank_correlation < 0.7


def test_one_subject_is_not_enough_to_calibrate() -> None:
    assert calibrate_uncertainty(list(subject_rows("1", scale=1.0))) is None
    assert calibrate_uncertainty([]) is None


def test_a_tissue_of_one_subject_alone_is_not_calibrated() -> None:
    rows = [
        row
        for label in "123"
        for row in subject_rows(label, scale=2.0)
        if row.tissue == "WM" or label == "1"
    ]
    uncertainty = calibrate_uncertainty(rows)
    assert uncertainty is not None
    white_rows = [row for row in rows if row.tissue == "WM"]
    assert uncertainty == calibrate_uncertainty(white_rows)
    assert set(uncertainty.factors) == {("WM", "FA")}


def test_subjects_that_share_no_tissue_calibrate_nothing() -> None:
    rows = [*subject_rows("1", scale=1.0), *subject_rows("2", scale=1.0)]
    apart = [row for row in rows if (row.subject, row.tissue) in {("1", "WM"), ("2", "GM")}]
    assert calibrate_uncertainty(apart) is None
