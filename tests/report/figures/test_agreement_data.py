from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from bids_shresnet.evaluation.agreement import SCAN_STATES, mean_limits
from bids_shresnet.evaluation.histograms import QUANTITY_RANGES
from bids_shresnet.evaluation.results import QUANTITIES
from bids_shresnet.report.figures.agreement_data import (
    MAX_CROPPED_FRACTION,
    group_agreement,
    voxel_agreement,
)
from bids_shresnet.settings import NO_HARMONIZATION
from tests.held_out import agreements, histograms

REGIONS = {"WM": "White matter", "GM": "Grey matter"}


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_group_has_the_bins_of_its_quantity_and_both_tissues(quantity: str) -> None:
    data = group_agreement(histograms(), agreements(), quantity)
    assert data.regions == tuple(REGIONS.values())
    assert (data.edges[0], data.edges[-1]) == pytest.approx(QUANTITY_RANGES[quantity])


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_a_group_is_the_sum_of_its_subjects_and_has_the_limits_of_the_mean_one(
    quantity: str,
) -> None:
    data = group_agreement(histograms(), agreements(), quantity)
    column = QUANTITIES.index(quantity)
    for (s, state), (t, tissue) in product(enumerate(SCAN_STATES), enumerate(REGIONS)):
        distribution = data.distributions[REGIONS[tissue], state]
        assert (distribution.counts == histograms().counts[:, s, t, column].sum(axis=0)).all()
        rows = [
            row
            for row in agreements()
            if (row.tissue, row.quantity) == (tissue, quantity)
            and (row.method == NO_HARMONIZATION) == (state == "before")
        ]
        assert distribution.limits == mean_limits(rows)


def test_voxels_are_counted_in_bins_that_all_regions_and_states_share() -> None:
    rng = np.random.default_rng(0)
    regions = {
        region: {state: rng.normal(mean, 0.05, 10_000) for state in (*SCAN_STATES, "target")}
        for region, mean in (("White matter", 0.6), ("Grey matter", 0.2))
    }
    data = voxel_agreement(regions, "FA", "in the voxels", "")
    values = np.array([list(states.values()) for states in regions.values()])
    is_cropped = (values < data.edges[0]) | (values > data.edges[-1])
    assert is_cropped.mean() == pytest.approx(2 * MAX_CROPPED_FRACTION, rel=0.1)
    for (region, state), distribution in data.distributions.items():
        measured = regions[region]["target"]
        source = regions[region][state]
        pairs = np.stack([measured, source])
        is_inside = ((data.edges[0] <= pairs) & (pairs <= data.edges[-1])).all(axis=0)
        assert distribution.counts.sum() == is_inside.sum()
        difference = source - measured
        limits = [difference.mean() + k * 1.96 * difference.std() for k in (-1, 0, 1)]
        assert distribution.limits == pytest.approx(limits)


def test_equal_values_have_bins() -> None:
    values = dict.fromkeys((*SCAN_STATES, "target"), np.full(5, 0.5))
    data = voxel_agreement({"White matter": values}, "FA", "", "")
    assert (np.diff(data.edges) > 0).all()
    assert data.distributions["White matter", "before"].counts.sum() == 5


def test_missing_values_are_refused() -> None:
    empty = dict.fromkeys((*SCAN_STATES, "target"), np.zeros(0))
    for regions in ({}, {"White matter": empty}):
        with pytest.raises(ValueError, match="nothing to compare"):
            voxel_agreement(regions, "FA", "", "")
