from __future__ import annotations

from pathlib import Path

import numpy as np

from bids_shresnet.evaluation.histograms import (
    HISTOGRAM_BINS,
    QUANTITY_RANGES,
    Histograms,
    bland_altman,
    concatenate_histograms,
    joint_histogram,
    joint_histograms,
    read_histograms,
    write_histograms,
)
from bids_shresnet.evaluation.quantities import MIN_TISSUE_VOXELS
from bids_shresnet.scans import Tissue
from tests.evaluation.voxels import VOXELS, measured_quantities, uniform_voxels
from tests.held_out import SUBJECTS, histograms


def test_a_joint_histogram_is_that_of_numpy() -> None:
    rng = np.random.default_rng(0)
    measured = rng.uniform(0, 0.003, 5000)
    value = np.clip(measured + rng.normal(0, 0.0002, 5000), 0, 0.00299)
    ranges = [QUANTITY_RANGES["MD"]] * 2
    expected, _, _ = np.histogram2d(measured, value, bins=HISTOGRAM_BINS, range=ranges)
    assert np.array_equal(joint_histogram(measured, value, "MD"), expected)


def test_values_beyond_the_range_are_in_the_outermost_bins() -> None:
    counts = joint_histogram(np.array([-1.0, 0.5, 2.0]), np.array([2.0, 0.5, -1.0]), "FA")
    assert counts.sum() == 3
    assert counts[0, -1] == counts[-1, 0] == counts[HISTOGRAM_BINS // 2, HISTOGRAM_BINS // 2] == 1


def test_values_of_many_directions_are_counted_each() -> None:
    measured = np.full((7, 5), 0.3)
    assert joint_histogram(measured, measured, "signal").sum() == 35


def test_there_is_a_histogram_per_tissue_and_quantity_empty_for_too_few_voxels() -> None:
    matched, truth = uniform_voxels(sigma=0.02)
    matched.tissue[: MIN_TISSUE_VOXELS - 1] = Tissue.GM
    white = VOXELS - MIN_TISSUE_VOXELS + 1
    counts = joint_histograms(matched, measured_quantities(matched), truth)
    assert counts.shape == (2, 3, HISTOGRAM_BINS, HISTOGRAM_BINS)
    assert counts.sum(axis=(2, 3)).tolist() == [[30 * white, white, white], [0, 0, 0]]


def test_rotation_moves_every_pair_to_its_mean_and_difference_and_loses_none() -> None:
    counts = np.arange(16, dtype=np.uint32).reshape(4, 4)
    rotated = bland_altman(counts)
    assert rotated.shape == (4, 7)
    assert rotated.sum() == counts.sum()
    for measured, value in np.ndindex(4, 4):
        assert rotated[(measured + value) // 2, value - measured + 3] == counts[measured, value]


def test_joined_histograms_keep_the_order_of_their_subjects() -> None:
    shape = (2, 2, 3, HISTOGRAM_BINS, HISTOGRAM_BINS)
    parts = [
        Histograms(np.full((1, *shape), 1, np.uint32), ("10",)),
        Histograms(np.full((2, *shape), 2, np.uint32), ("20", "21")),
    ]
    joined = concatenate_histograms(parts)
    assert joined.subjects == ("10", "20", "21")
    assert [int(counts.max()) for counts in joined.counts] == [1, 2, 2]


def test_histograms_are_read_as_they_were_written(tmp_path: Path) -> None:
    write_histograms(tmp_path / "agreement.safetensors", histograms())
    read = read_histograms(tmp_path / "agreement.safetensors")
    np.testing.assert_array_equal(read.counts, histograms().counts)
    assert read.subjects == SUBJECTS
