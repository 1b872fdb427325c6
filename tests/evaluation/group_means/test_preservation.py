from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.evaluation.group_means.paired_means import PairedMeans, Region
from bids_shresnet.evaluation.group_means.preservation import assess_preservation
from bids_shresnet.outputs.model.validation import Preservation

TARGET_MEANS = np.array([0.44, 0.46, 0.41, 0.45, 0.43, 0.47])


def assess(means: Float[np.ndarray, " n"]) -> tuple[Preservation, ...]:
    region = Region("shresnet", "WM", "FA")
    return assess_preservation([PairedMeans(region, means, TARGET_MEANS[: len(means)])])


def test_the_targets_own_means_are_preserved() -> None:
    (result,) = assess(TARGET_MEANS)
    assert (result.slope, result.icc, result.rank_correlation) == pytest.approx((1, 1, 1))
    assert result.detectable_change == 0
    assert (result.method, result.region, result.quantity) == ("shresnet", "WM", "FA")
    assert result.subjects == 6


def test_making_subjects_alike_lowers_slope_and_icc_but_no_mean_and_no_rank() -> None:
    mean = TARGET_MEANS.mean()
    (result,) = assess(mean + 0.3 * (TARGET_MEANS - mean))
    assert result.slope == pytest.approx(0.3)
    assert result.icc < 0.7
    assert result.rank_correlation == pytest.approx(1)
    assert result.detectable_change > 0


def test_a_common_bias_keeps_slope_and_ranks_and_lowers_the_icc() -> None:
    (result,) = assess(TARGET_MEANS + 0.05)
    assert (result.slope, result.rank_correlation) == pytest.approx((1, 1))
    assert result.icc < 0.5
    relative = 0.05 / TARGET_MEANS
    assert result.detectable_change == pytest.approx(1.96 * np.sqrt(np.mean(relative**2)))


@pytest.mark.parametrize("means", [TARGET_MEANS[:2], np.full(6, 0.4)])
def test_too_few_subjects_and_a_single_value_are_left_out(means: np.ndarray) -> None:
    assert assess(means) == ()
