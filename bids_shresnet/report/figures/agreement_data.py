"""What figures compare of source and target: the sum over a group's held-out subjects, or the voxels of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from bids_shresnet.evaluation.agreement import (
    HISTOGRAM_BINS,
    QUANTITY_RANGES,
    SCAN_STATES,
    TARGET_MEASUREMENT,
    Agreement,
    Histograms,
    JointDistribution,
    joint_distribution,
    mean_limits,
)
from bids_shresnet.evaluation.statistics import QUANTITIES, TISSUES
from bids_shresnet.report.style import TISSUE_NAMES
from bids_shresnet.settings import NO_HARMONIZATION

NOISE_REMARKS: Mapping[str, str] = {  # what a reader has to know of held-out subjects
    "signal": "Where a method takes noise away, that of the target's scan still spreads values around the line, "
    "however right the prediction is.",
    "FA": "Where a method takes noise away, its FA and MD are shown as the target would measure them, in the mean over "
    "its noise.",
}
SUBJECT_BINS = 100  # bins of the voxels of one subject
MAX_CROPPED_FRACTION = 0.0005  # share of values at either end of an axis that is not shown, or the oddest voxel sets the scale


@dataclass(frozen=True)
class AgreementData:
    """One quantity of source and target.

    Attributes
    ----------
    edges
        Of the bins, the same along both axes and in all clouds; MD in mm2/s.
    distributions
        By region and state.
    where
        Which values they are of, as a part of a sentence.
    remark
        What a reader has to know besides.
    """

    quantity: str
    edges: Float[np.ndarray, " e"]
    distributions: Mapping[tuple[str, str], JointDistribution]
    where: str
    remark: str

    @property
    def regions(self) -> tuple[str, ...]:
        """Names."""
        return tuple(dict.fromkeys(region for region, _ in self.distributions))


def group_agreement(
    histograms: Histograms, agreements: Iterable[Agreement], quantity: str
) -> AgreementData:
    """All held-out subjects: counts are sums, limits of agreement means."""
    rows = [row for row in agreements if row.quantity == quantity]
    counts = histograms.counts[:, :, :, QUANTITIES.index(quantity)].sum(axis=0, dtype=np.int64)
    clouds = {}
    for (column, state), (line, tissue) in product(enumerate(SCAN_STATES), enumerate(TISSUES)):
        here = [
            one
            for one in rows
            if one.tissue == tissue
            and (one.method == NO_HARMONIZATION) == (state == SCAN_STATES[0])
        ]
        clouds[TISSUE_NAMES[tissue], state] = JointDistribution(
            counts[column, line], mean_limits(here) if here else None
        )
    where = f"in the voxels of {len(histograms.subjects)} held-out subjects"
    edges = np.linspace(*QUANTITY_RANGES[quantity], HISTOGRAM_BINS + 1)
    return AgreementData(
        quantity, edges, clouds, where, NOISE_REMARKS.get(quantity, NOISE_REMARKS["FA"])
    )


def voxel_agreement(
    regions: Mapping[str, Mapping[str, Float[np.ndarray, " v"]]],
    quantity: str,
    where: str,
    remark: str,
) -> AgreementData:
    """One subject, by region and then by `STATES` and `MEASURED`: the values of the same voxels.

    Raises
    ------
    ValueError
        If a region has no voxel, or none is given.
    """
    values = [one for region in regions.values() for one in region.values()]
    if not values or not all(one.size for one in values):
        msg = "nothing to compare"
        raise ValueError(msg)
    low, high = np.quantile(
        np.concatenate(values), [MAX_CROPPED_FRACTION, 1 - MAX_CROPPED_FRACTION]
    )
    edges = np.histogram_bin_edges(
        np.empty(0), SUBJECT_BINS, (low, high)
    )  # of nothing, but wider than a point
    clouds = {
        (name, state): joint_distribution(region[TARGET_MEASUREMENT], region[state], edges)
        for name, region in regions.items()
        for state in SCAN_STATES
    }
    return AgreementData(quantity, edges, clouds, where, remark)
