"""Agreement of the source scan with the target's measurement, before and after harmonization."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from bids_shresnet.evaluation.quantities import Quantities, tissue_masks
from bids_shresnet.evaluation.results import EndpointRow, HeldOutRow
from bids_shresnet.pairs import MatchedVoxels

SCAN_STATES = ("before", "after")  # the input scan, and the harmonized scan
AGREEMENT_LIMITS_SD = 1.96  # standard deviations that hold 95 % of normal differences


@dataclass(frozen=True)
class Agreement(EndpointRow):
    """Differences, source minus target, as summarized by Bland and Altman (1986).

    Attributes
    ----------
    value_count
        Number of values: voxels, times directions for the signal.
    mean, deviation
        Mean and standard deviation of the differences; MD in mm2/s, signal and FA without unit.
    """

    value_count: int
    mean: float
    deviation: float


class AgreementLimits(NamedTuple):
    """Mean difference, and the limits that hold 95 % of normally distributed differences."""

    lower: float
    mean: float
    upper: float


@dataclass(frozen=True)
class JointDistribution:
    """Values of a region in a scan against the target's measurement at the same positions.

    Attributes
    ----------
    counts
        Joint histogram, the target's values along the first axis.
    limits
        Limits of agreement of source minus target; None without values.
    correlation
        Pearson's correlation; None where it is unknown.
    """

    counts: Integer[np.ndarray, "b b"]
    limits: AgreementLimits | None
    correlation: float | None = None


def agreement_rows(
    row: HeldOutRow, matched: MatchedVoxels, measured: Quantities, source: Quantities
) -> Iterator[Agreement]:
    """Yield one row per tissue with enough voxels and per quantity."""
    source_values = source.to_dict()
    for tissue, mask in tissue_masks(matched.tissue):
        for quantity, values in measured.to_dict().items():
            count, mean, deviation = summarize_differences(
                values[mask], source_values[quantity][mask]
            )
            yield Agreement(
                subject=row.subject,
                fold=row.fold,
                method=row.method,
                tissue=tissue,
                quantity=quantity,
                value_count=count,
                mean=mean,
                deviation=deviation,
            )


def summarize_differences(
    measured: Float[np.ndarray, "..."], value: Float[np.ndarray, "..."]
) -> tuple[int, float, float]:
    """Return number, mean and standard deviation of value minus measured."""
    differences = value.astype(np.float64) - measured
    return differences.size, float(differences.mean()), float(differences.std())


def agreement_limits(mean: float, deviation: float) -> AgreementLimits:
    """Limits of agreement of differences with this mean and standard deviation."""
    margin = AGREEMENT_LIMITS_SD * deviation
    return AgreementLimits(lower=mean - margin, mean=mean, upper=mean + margin)


def mean_limits(agreements: Sequence[Agreement]) -> AgreementLimits:
    """Limits of agreement of the average subject."""
    mean = np.mean([row.mean for row in agreements])
    deviation = np.mean([row.deviation for row in agreements])
    return agreement_limits(float(mean), float(deviation))


def pearson_correlation(measured: Float[np.ndarray, " v"], value: Float[np.ndarray, " v"]) -> float:
    """Pearson's correlation; 0 where one of the two is constant."""
    if min(np.std(measured), np.std(value)) == 0:
        return 0.0
    return float(np.corrcoef(measured, value)[0, 1])


def joint_distribution(
    measured: Float[np.ndarray, " v"],
    value: Float[np.ndarray, " v"],
    edges: Float[np.ndarray, " e"],
) -> JointDistribution:
    """Joint distribution over voxels.

    Values beyond the edges are not counted in the histogram, but are part of the limits and the
    correlation.
    """
    counts, _, _ = np.histogram2d(measured, value, bins=[edges, edges])
    _, mean, deviation = summarize_differences(measured, value)
    return JointDistribution(
        counts=counts.astype(np.int64),
        limits=agreement_limits(mean, deviation),
        correlation=pearson_correlation(measured, value),
    )
