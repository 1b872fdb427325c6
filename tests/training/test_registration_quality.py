from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_shresnet.pairs import MatchedVoxels, RegistrationQuality
from bids_shresnet.training.registration_quality import find_outliers, measure_quality
from tests.methods.heads import head, travelling

GOOD = (0.95, 0.9, 0.93, 0.96, 0.94)


def matched_voxels(seed: int) -> MatchedVoxels:
    """Voxels of a small head whose target scales the source's orders."""
    matched = travelling(head(seed), 12).matched
    return replace(matched, tissue=np.full_like(matched.tissue, 2))


def qualities(*correlations: float, overlap: float = 0.9) -> dict[str, RegistrationQuality]:
    return {
        f"{number:02d}": RegistrationQuality(overlap, value, value)
        for number, value in enumerate(correlations, 1)
    }


def test_a_target_that_scales_each_order_of_the_source_is_correlated_with_it() -> None:
    quality = measure_quality(matched_voxels(1), 0.7)
    assert quality.overlap == 0.7
    assert quality.signal_correlation > 0.99
    assert quality.orientation_correlation > 0.99


def test_the_signal_of_another_head_is_correlated_with_nothing() -> None:
    own = matched_voxels(1)
    other = replace(own, signal=matched_voxels(2).signal)
    quality = measure_quality(other, 0.7)
    assert abs(quality.signal_correlation) < 0.3
    assert abs(quality.orientation_correlation) < 0.3


def test_directions_that_are_flipped_show_in_the_orientations_only() -> None:
    own = matched_voxels(1)
    flipped = replace(own, sh_matrix=own.sh_matrix * np.array([1, -1, 1, 1, -1, 1], np.float32))
    quality = measure_quality(flipped, 0.7)
    assert quality.signal_correlation > 0.95
    assert quality.orientation_correlation < 0.8


def test_a_subject_far_below_the_others_is_an_outlier() -> None:
    (subject,) = find_outliers(qualities(*GOOD, 0.55))
    assert subject == "06"
    assert find_outliers(qualities(*GOOD)) == {}


def test_among_three_subjects_one_can_be_an_outlier() -> None:
    reasons = find_outliers(qualities(0.95, 0.5, 0.93))
    assert list(reasons) == ["02"]
    assert "by 0.50 only, in other subjects by 0.93" in reasons["02"]


def test_low_correlations_of_all_subjects_are_the_scanners_and_no_outliers() -> None:
    assert find_outliers(qualities(0.5, 0.6, 0.45, 0.52)) == {}


@pytest.mark.parametrize(("overlap", "expected"), [(0.1, ["01"]), (0.5, [])])
def test_a_head_that_hardly_overlaps_is_left_out(overlap: float, expected: list[str]) -> None:
    few = qualities(0.9, overlap=overlap) | {"02": RegistrationQuality(0.9, 0.9, 0.9)}
    assert list(find_outliers(few)) == expected
