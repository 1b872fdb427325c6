from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.evaluation.agreement import QUANTITY_RANGES, SCAN_STATES, mean_limits
from bids_shresnet.evaluation.statistics import QUANTITIES
from bids_shresnet.report.figures.agreement_data import (
    MAX_CROPPED_FRACTION,
    group_agreement,
    voxel_agreement,
)
from tests.held_out import agreements, histograms


def test_the_group_is_the_sum_of_its_subjects_and_its_limits_those_of_the_mean_one() -> None:
    for column, quantity in enumerate(QUANTITIES):
        found = group_agreement(histograms(), agreements(), quantity)
        assert found.regions == ("White matter", "Grey matter")
        assert (found.edges[0], found.edges[-1]) == pytest.approx(QUANTITY_RANGES[quantity])
        for state, before in enumerate((True, False)):
            for tissue, (region, label) in enumerate(zip(found.regions, ("WM", "GM"), strict=True)):
                one = found.distributions[region, SCAN_STATES[state]]
                assert (
                    one.counts == histograms().counts[:, state, tissue, column].sum(axis=0)
                ).all()
                place = (label, quantity)
                rows = [
                    row
                    for row in agreements()
                    if (row.tissue, row.quantity) == place
                    and (row.method == "no_harmonization") == before
                ]
                assert one.limits == mean_limits(rows)


def test_voxels_are_counted_in_bins_that_all_regions_and_states_share() -> None:
    rng = np.random.default_rng(0)
    regions = {
        name: {state: rng.normal(mean, 0.05, 10_000) for state in (*SCAN_STATES, "target")}
        for name, mean in (("White matter", 0.6), ("Grey matter", 0.2))
    }
    found = voxel_agreement(regions, "FA", "in the voxels", "")
    every = np.concatenate([one for region in regions.values() for one in region.values()])
    assert ((every < found.edges[0]) | (every > found.edges[-1])).mean() == pytest.approx(
        2 * MAX_CROPPED_FRACTION, rel=0.1
    )
    for (region, state), one in found.distributions.items():
        pair = [regions[region][name] for name in ("target", state)]
        inside = np.all([(found.edges[0] <= x) & (x <= found.edges[-1]) for x in pair], axis=0)
        assert one.counts.sum() == inside.sum()
        apart = pair[1] - pair[0]
        assert one.limits == pytest.approx(
            [apart.mean() + k * 1.96 * apart.std() for k in (-1, 0, 1)]
        )


def test_values_that_are_all_alike_have_bins() -> None:
    alike = dict.fromkeys((*SCAN_STATES, "target"), np.full(5, 0.5))
    found = voxel_agreement({"White matter": alike}, "FA", "", "")
    assert (np.diff(found.edges) > 0).all()
    assert found.distributions["White matter", "before"].counts.sum() == 5


def test_nothing_to_compare_is_refused() -> None:
    empty = dict.fromkeys((*SCAN_STATES, "target"), np.zeros(0))
    for regions in ({}, {"White matter": empty}):
        with pytest.raises(ValueError, match="nothing to compare"):
            voxel_agreement(regions, "FA", "", "")
