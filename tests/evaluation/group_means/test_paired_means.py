from __future__ import annotations

from dataclasses import replace

import numpy as np

from bids_shresnet.evaluation.group_means.paired_means import PairedMeans, Region, pair_tissue_means
from tests.evaluation.tables import held_out_results


def test_the_means_of_every_tissue_and_map_are_paired_by_subject() -> None:
    rows = [
        replace(row, mean=row.fold + 0.5, target_mean=row.fold + 1.0) for row in held_out_results(4)
    ]
    pairs = pair_tissue_means(reversed(rows))
    assert {item.region for item in pairs} == {
        Region(row.method, row.tissue, row.quantity) for row in rows if row.quantity != "signal"
    }
    for item in pairs:
        np.testing.assert_array_equal(item.means, np.arange(4) + 0.5)
        np.testing.assert_array_equal(item.target_means, np.arange(4) + 1.0)


def test_a_subject_in_two_folds_counts_once_with_its_mean() -> None:
    rows = held_out_results(3)
    other_fold = [replace(row, fold=9, mean=row.mean + 0.2) for row in rows]
    for once, twice in zip(
        pair_tissue_means(rows), pair_tissue_means(rows + other_fold), strict=True
    ):
        np.testing.assert_allclose(twice.means, once.means + 0.1)


def test_the_interior_is_no_second_measurement() -> None:
    rows = held_out_results(3)
    interior = [replace(row, places="interior", mean=9.0) for row in rows]
    for item in pair_tissue_means(rows + interior):
        assert item.means.max() < 2


def test_the_bias_is_relative_to_the_target() -> None:
    pairs = PairedMeans(
        Region("shresnet", "WM", "MD"),
        means=np.array([0.9e-3, 0.66e-3]),
        target_means=np.array([1e-3, 0.6e-3]),
    )
    np.testing.assert_allclose(pairs.biases, [-0.1, 0.1])
