from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.evaluation.group_means.paired_means import Region, pair_regional_means
from bids_shresnet.evaluation.group_means.regional_means import (
    MIN_REGION_VOXELS,
    RegionalMean,
    regional_means,
)
from bids_shresnet.evaluation.results import HeldOutRow

NAMES = {3: "cingulum", 7: "fornix", 9: "body"}
SIZES = {0: 50, 3: 40, 7: MIN_REGION_VOXELS - 1, 9: MIN_REGION_VOXELS}
LABELS = np.repeat(list(SIZES), list(SIZES.values()))


def test_a_row_has_the_means_of_the_voxels_of_its_region() -> None:
    rng = np.random.default_rng(0)
    measured = {name: rng.uniform(0, 1, len(LABELS)) for name in ("signal", "FA", "MD")}
    predicted = {name: rng.uniform(0, 1, len(LABELS)) for name in ("signal", "FA", "MD")}
    order = rng.permutation(len(LABELS))
    rows = list(
        regional_means(
            HeldOutRow("01", 2, "shresnet"),
            LABELS[order],
            NAMES,
            {name: values[order] for name, values in measured.items()},
            {name: values[order] for name, values in predicted.items()},
        )
    )
    assert [(row.region, row.quantity, row.voxels) for row in rows] == [
        ("cingulum", "FA", 40),
        ("cingulum", "MD", 40),
        ("body", "FA", MIN_REGION_VOXELS),
        ("body", "MD", MIN_REGION_VOXELS),
    ]
    assert {(row.subject, row.fold, row.method) for row in rows} == {("01", 2, "shresnet")}
    (row,) = (row for row in rows if (row.region, row.quantity) == ("body", "MD"))
    assert row.mean == pytest.approx(predicted["MD"][LABELS == 9].mean())
    assert row.target_mean == pytest.approx(measured["MD"][LABELS == 9].mean())


def test_regions_are_paired_over_the_subjects_that_have_them() -> None:
    values = {"FA": np.full(len(LABELS), 0.5)}
    rows: list[RegionalMean] = []
    for number, subject in enumerate(("01", "02", "03"), 1):
        row = HeldOutRow(subject, number, "shresnet")
        names = NAMES if subject != "02" else {3: "cingulum"}
        predicted = {"FA": values["FA"] + 0.1 * number}
        rows += regional_means(row, LABELS, names, values, predicted)
    pairs = {item.region: item for item in pair_regional_means(rows)}
    assert set(pairs) == {Region("shresnet", name, "FA") for name in ("cingulum", "body")}
    np.testing.assert_allclose(pairs[Region("shresnet", "cingulum", "FA")].means, [0.6, 0.7, 0.8])
    np.testing.assert_allclose(pairs[Region("shresnet", "body", "FA")].biases, [0.2, 0.6])
