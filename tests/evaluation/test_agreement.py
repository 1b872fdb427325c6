from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.evaluation.agreement import (
    AGREEMENT_LIMITS_SD,
    agreement_rows,
    joint_distribution,
    mean_limits,
    pearson_correlation,
    summarize_differences,
)
from bids_shresnet.evaluation.quantities import MIN_TISSUE_VOXELS
from bids_shresnet.evaluation.results import HeldOutRow
from bids_shresnet.scans import Tissue
from tests.evaluation.voxels import VOXELS, measured_quantities, uniform_voxels
from tests.held_out import agreements


def test_differences_are_value_minus_measured_in_double_precision() -> None:
    rng = np.random.default_rng(0)
    measured, value = rng.uniform(0, 0.003, (2, 11))
    count, mean, deviation = summarize_differences(measured, value)
    assert count == 11
    assert mean == pytest.approx(value.mean() - measured.mean())
    assert deviation == pytest.approx(np.std(value - measured))


def test_rows_are_of_all_voxels_of_a_tissue_and_of_no_tissue_with_too_few() -> None:
    matched, truth = uniform_voxels(sigma=0.02)
    matched.tissue[: MIN_TISSUE_VOXELS - 1] = Tissue.GM
    white = VOXELS - MIN_TISSUE_VOXELS + 1
    row = HeldOutRow(subject="01", fold=1, method="shresnet")
    rows = list(agreement_rows(row, matched, measured_quantities(matched), truth))
    assert {item.tissue for item in rows} == {"WM"}
    assert {(item.subject, item.fold, item.method) for item in rows} == {("01", 1, "shresnet")}
    counts = {item.quantity: item.value_count for item in rows}
    assert counts == {"signal": 30 * white, "FA": white, "MD": white}
    assert rows[0].deviation == pytest.approx(0.02, rel=0.01)


def test_limits_of_agreement_are_1_96_deviations_around_the_mean_difference() -> None:
    rows = [
        row
        for row in agreements()
        if (row.method, row.tissue, row.quantity) == ("no_harmonization", "WM", "FA")
    ]
    margin = AGREEMENT_LIMITS_SD * 0.05
    assert mean_limits(rows) == pytest.approx((0.3 - margin, 0.3, 0.3 + margin))


def test_limits_and_correlation_of_twice_the_value_are_known() -> None:
    """The difference is the target's value itself."""
    target = np.array([1.0, 2.0, 3.0, 4.0])
    distribution = joint_distribution(target, 2 * target, np.linspace(0, 4, 5))
    margin = 1.96 * np.sqrt(1.25)
    assert distribution.limits == pytest.approx((2.5 - margin, 2.5, 2.5 + margin))
    assert distribution.correlation == pytest.approx(1)
    assert distribution.counts.sum() == 2  # the others are beyond the edges


def test_a_constant_has_no_correlation() -> None:
    assert pearson_correlation(np.arange(3.0), np.ones(3)) == 0
