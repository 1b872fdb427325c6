from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.evaluation.agreement import (
    AGREEMENT_LIMITS_SD,
    HISTOGRAM_BINS,
    QUANTITY_RANGES,
    Histograms,
    bland_altman,
    concatenate_histograms,
    joint_distribution,
    joint_histogram,
    mean_limits,
    pearson_correlation,
    summarize_differences,
)
from tests.held_out import agreements


def pairs(count: int = 5000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    measured = rng.uniform(0, 0.003, count)
    return measured, np.clip(measured + rng.normal(0, 0.0002, count), 0, 0.00299)


def test_a_joint_histogram_is_numpys() -> None:
    measured, value = pairs()
    expected, _, _ = np.histogram2d(
        measured, value, bins=HISTOGRAM_BINS, range=[QUANTITY_RANGES["MD"]] * 2
    )
    assert np.array_equal(joint_histogram(measured, value, "MD"), expected)


def test_what_is_beyond_the_range_is_in_the_outermost_bins() -> None:
    counts = joint_histogram(np.array([-1.0, 0.5, 2.0]), np.array([2.0, 0.5, -1.0]), "FA")
    assert counts.sum() == 3
    assert counts[0, -1] == counts[-1, 0] == counts[HISTOGRAM_BINS // 2, HISTOGRAM_BINS // 2] == 1


def test_values_of_many_directions_count_each() -> None:
    measured = np.full((7, 5), 0.3)
    assert joint_histogram(measured, measured, "signal").sum() == 35


def test_turning_a_histogram_moves_every_pair_to_its_mean_and_difference_and_loses_none() -> None:
    counts = np.arange(16, dtype=np.uint32).reshape(4, 4)
    turned = bland_altman(counts)
    assert turned.shape == (4, 7)
    assert turned.sum() == counts.sum()
    for measured in range(4):
        for value in range(4):
            assert turned[(measured + value) // 2, value - measured + 3] == counts[measured, value]


def test_differences_are_value_minus_measured_without_binning() -> None:
    measured, value = pairs(11)
    count, mean, deviation = summarize_differences(measured, value)
    assert (count, mean) == (11, pytest.approx(value.mean() - measured.mean()))
    assert deviation == pytest.approx(np.std(value - measured))


def test_parts_keep_the_order_of_their_subjects() -> None:
    parts = [
        Histograms(
            np.full((n, 2, 2, 3, HISTOGRAM_BINS, HISTOGRAM_BINS), n),
            tuple(f"{n}{k}" for k in range(n)),
        )
        for n in (1, 2)
    ]
    both = concatenate_histograms(parts)
    assert both.subjects == ("10", "20", "21")
    assert [int(counts.max()) for counts in both.counts] == [1, 2, 2]


def test_limits_of_agreement_are_the_mean_difference_and_1_96_deviations_around_it() -> None:
    before = [
        row
        for row in agreements()
        if (row.method, row.tissue, row.quantity) == ("no_harmonization", "WM", "FA")
    ]
    assert mean_limits(before) == pytest.approx(
        (0.3 - AGREEMENT_LIMITS_SD * 0.05, 0.3, 0.3 + AGREEMENT_LIMITS_SD * 0.05)
    )


def test_limits_and_correlation_of_a_line_are_known() -> None:
    target = np.array([1.0, 2.0, 3.0, 4.0])
    found = joint_distribution(
        target, 2 * target, np.linspace(0, 4, 5)
    )  # the difference is the target itself
    assert found.limits == pytest.approx([2.5 + k * 1.96 * np.sqrt(1.25) for k in (-1, 0, 1)])
    assert found.correlation == pytest.approx(1)
    assert found.counts.sum() == 2  # the others have no bin


def test_what_does_not_vary_correlates_with_nothing() -> None:
    assert pearson_correlation(np.arange(3.0), np.ones(3)) == 0
