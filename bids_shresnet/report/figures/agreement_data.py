"""Values of source and target to compare: of a group's held-out subjects, or of one scan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from bids_shresnet.evaluation.agreement import (
    SCAN_STATES,
    Agreement,
    JointDistribution,
    joint_distribution,
    mean_limits,
)
from bids_shresnet.evaluation.histograms import HISTOGRAM_BINS, QUANTITY_RANGES, Histograms
from bids_shresnet.evaluation.results import QUANTITIES, TISSUES
from bids_shresnet.evaluation.rish_power import TARGET_MEASUREMENT
from bids_shresnet.report.style import TISSUE_NAMES
from bids_shresnet.settings import NO_HARMONIZATION

SIGNAL_NOISE_REMARK = (
    "Even a perfect prediction scatters around the line if the method removes noise, because the "
    "target scan is noisy."
)
TENSOR_NOISE_REMARK = (
    "If a method removes noise, its FA and MD are shown as the target scanner would measure them, "
    "averaged over the target's noise."
)
SUBJECT_BINS = 100  # along each axis of a histogram of one subject
MAX_CROPPED_FRACTION = 0.0005  # of the values at either end of an axis, where outliers lie


@dataclass(frozen=True)
class AgreementData:
    """One quantity, measured by the target and in the source scan.

    Attributes
    ----------
    edges
        Edges of the bins along both axes of all histograms; MD in mm2/s.
    distributions
        Joint distributions by region and state of the scan.
    where
        Phrase that names the voxels, such as "in the voxels of 3 held-out subjects".
    remark
        Sentence at the end of the caption.
    """

    quantity: str
    edges: Float[np.ndarray, " e"]
    distributions: Mapping[tuple[str, str], JointDistribution]
    where: str
    remark: str

    @property
    def regions(self) -> tuple[str, ...]:
        """Names of the regions, in order."""
        return tuple(dict.fromkeys(region for region, _ in self.distributions))


def group_agreement(
    histograms: Histograms, agreements: Iterable[Agreement], quantity: str
) -> AgreementData:
    """Pool all held-out subjects: counts are added, limits of agreement averaged."""
    counts = histograms.counts[:, :, :, QUANTITIES.index(quantity)].sum(axis=0, dtype=np.int64)
    panel_rows = defaultdict(list)
    for agreement in agreements:
        if agreement.quantity == quantity:
            panel_rows[agreement.tissue, _scan_state(agreement)].append(agreement)
    distributions = {}
    for (row, state), (column, tissue) in product(enumerate(SCAN_STATES), enumerate(TISSUES)):
        rows = panel_rows[tissue, state]
        limits = mean_limits(rows) if rows else None
        distributions[TISSUE_NAMES[tissue], state] = JointDistribution(counts[row, column], limits)
    return AgreementData(
        quantity=quantity,
        edges=np.linspace(*QUANTITY_RANGES[quantity], HISTOGRAM_BINS + 1),
        distributions=distributions,
        where=f"in the voxels of {len(histograms.subjects)} held-out subjects",
        remark=SIGNAL_NOISE_REMARK if quantity == "signal" else TENSOR_NOISE_REMARK,
    )


def voxel_agreement(
    regions: Mapping[str, Mapping[str, Float[np.ndarray, " v"]]],
    quantity: str,
    where: str,
    remark: str,
) -> AgreementData:
    """Compare the voxels of one scan with the target's.

    Parameters
    ----------
    regions
        Values of the same voxels, by region and then by `SCAN_STATES` and `TARGET_MEASUREMENT`.
    where, remark
        See `AgreementData`.

    Raises
    ------
    ValueError
        If there is no region, or one without voxels.
    """
    edges = _voxel_edges(regions)
    distributions = {
        (name, state): joint_distribution(region[TARGET_MEASUREMENT], region[state], edges)
        for name, region in regions.items()
        for state in SCAN_STATES
    }
    return AgreementData(quantity, edges, distributions, where, remark)


def _scan_state(agreement: Agreement) -> str:
    before, after = SCAN_STATES
    return before if agreement.method == NO_HARMONIZATION else after


def _voxel_edges(
    regions: Mapping[str, Mapping[str, Float[np.ndarray, " v"]]],
) -> Float[np.ndarray, " e"]:
    """Edges of bins that hold nearly all values of all regions."""
    values = [scan for region in regions.values() for scan in region.values()]
    if not values or not all(scan.size for scan in values):
        msg = "nothing to compare"
        raise ValueError(msg)
    ends = np.quantile(np.concatenate(values), [MAX_CROPPED_FRACTION, 1 - MAX_CROPPED_FRACTION])
    no_values = np.empty(0)  # numpy widens the range if both ends are equal
    return np.histogram_bin_edges(no_values, SUBJECT_BINS, (ends[0], ends[1]))
