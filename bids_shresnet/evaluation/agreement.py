"""How measured and predicted values lie to each other: joint histogram, differences, power.

What is kept of a held-out subject is small enough to lie beside a model: figures are drawn without the scans.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Integer

from bids_shresnet.diffusion.harmonics import l_values, order_indices
from bids_shresnet.diffusion.rish import noise_power, rish
from bids_shresnet.evaluation.quantities import TISSUE_CODES, Quantities, tissue_masks
from bids_shresnet.pairs import MatchedVoxels
from bids_shresnet.scans import Shell

HISTOGRAM_BINS = 60  # along each axis of a joint histogram
QUANTITY_RANGES: Mapping[str, tuple[float, float]] = {
    "signal": (0.0, 1.0),
    "FA": (0.0, 1.0),
    "MD": (0.0, 0.003),
}  # MD: mm2/s
TARGET_MEASUREMENT = "target"  # in place of a method: what the target scanner measured
SCAN_STATES = ("before", "after")  # left as it was, and harmonized
AGREEMENT_LIMITS_SD = 1.96  # standard deviations: between them lie 95 % of normal differences
AgreementLimits: TypeAlias = tuple[
    float, float, float
]  # lower limit of agreement, mean difference, upper limit


@dataclass(frozen=True)
class Agreement:
    """Differences of a held-out subject in one tissue and quantity, as Bland and Altman (1986) sum them up.

    Attributes
    ----------
    subject
        Label without `sub-`.
    fold
        Number of the split that held the subject out.
    method
        What the source scan was harmonized with.
    value_count
        Number of values: voxels, of the signal times directions.
    mean, deviation
        Of source minus target, mean and standard deviation over these values; MD in mm2/s, else no unit.
    """

    subject: str
    fold: int
    method: str
    tissue: str
    quantity: str
    value_count: int
    mean: float
    deviation: float


@dataclass(frozen=True)
class RishPower:
    """Mean power (RISH) of one order of a shell in a tissue of a held-out subject; of a method or `MEASURED`."""

    subject: str
    fold: int
    method: str
    tissue: str
    bvalue: float
    order: int
    power: float


@dataclass(frozen=True)
class Histograms:
    """Joint histograms of all held-out subjects.

    Attributes
    ----------
    counts
        By subject, state (`STATES`), tissue (statistics.TISSUES), quantity (statistics.QUANTITIES), bin of what the
        target measured and bin of the source's value; bins divide `RANGES`, and the outermost hold what is beyond.
    subjects
        Their labels.
    """

    counts: Integer[np.ndarray, "subject state tissue quantity b b"]
    subjects: tuple[str, ...]


@dataclass(frozen=True)
class JointDistribution:
    """What a scan in one state says of a region against what the target measured at the same places.

    Attributes
    ----------
    counts
        Joint histogram, the target's values along the first axis.
    limits
        Of source minus target; None of nothing.
    correlation
        Of the two; None where it is not known.
    """

    counts: Integer[np.ndarray, "b b"]
    limits: AgreementLimits | None
    correlation: float | None = None


def concatenate_histograms(parts: Sequence[Histograms]) -> Histograms:
    """Those of all parts' subjects."""
    counts = np.concatenate([part.counts for part in parts])
    return Histograms(counts, tuple(subject for part in parts for subject in part.subjects))


def summarize_differences(
    measured: Float[np.ndarray, "..."], value: Float[np.ndarray, "..."]
) -> tuple[int, float, float]:
    """Number, mean and standard deviation of value minus measured."""
    apart = value.astype(np.float64) - measured
    return apart.size, float(apart.mean()), float(apart.std())


def agreement_limits(mean: float, deviation: float) -> AgreementLimits:
    """Mean difference and limits of agreement of differences with this mean and standard deviation."""
    return mean - AGREEMENT_LIMITS_SD * deviation, mean, mean + AGREEMENT_LIMITS_SD * deviation


def mean_limits(agreements: Sequence[Agreement]) -> AgreementLimits:
    """The same of the mean subject."""
    means, deviations = (
        [getattr(row, name) for row in agreements] for name in ("mean", "deviation")
    )
    return agreement_limits(float(np.mean(means)), float(np.mean(deviations)))


def pearson_correlation(measured: Float[np.ndarray, " v"], value: Float[np.ndarray, " v"]) -> float:
    """Pearson's; what does not vary is correlated with nothing."""
    varies = min(np.std(measured), np.std(value)) > 0
    return float(np.corrcoef(measured, value)[0, 1]) if varies else 0.0


def joint_distribution(
    measured: Float[np.ndarray, " v"],
    value: Float[np.ndarray, " v"],
    edges: Float[np.ndarray, " e"],
) -> JointDistribution:
    """Of voxels; pairs with a value beyond the edges are not counted, but are part of the numbers."""
    counts, _, _ = np.histogram2d(measured, value, bins=[edges, edges])
    _, mean, deviation = summarize_differences(measured, value)
    return JointDistribution(
        counts.astype(np.int64),
        agreement_limits(mean, deviation),
        pearson_correlation(measured, value),
    )


def joint_histogram(
    measured: Float[np.ndarray, "..."], value: Float[np.ndarray, "..."], quantity: str
) -> Integer[np.ndarray, "b b"]:
    """Pairs of values counted, what was measured along the first axis."""
    low, high = QUANTITY_RANGES[quantity]
    rows, columns = (
        np.clip(
            (HISTOGRAM_BINS * (part.ravel() - low) / (high - low)).astype(np.int64),
            0,
            HISTOGRAM_BINS - 1,
        )
        for part in (measured, value)
    )
    return (
        np.bincount(rows * HISTOGRAM_BINS + columns, minlength=HISTOGRAM_BINS**2)
        .reshape(HISTOGRAM_BINS, HISTOGRAM_BINS)
        .astype(np.uint32)
    )


def bland_altman(counts: Integer[np.ndarray, "b b"]) -> Integer[np.ndarray, "b d"]:
    """The same pairs by their mean (first axis, one bin each) and by source minus target (-(b - 1) to b - 1 bins).

    Every pair of bins has its own place, so nothing is counted twice or lost; the means of odd differences are half a
    bin too low.
    """
    size = len(counts)
    measured, value = np.indices(counts.shape)
    turned = np.zeros((size, 2 * size - 1), counts.dtype)
    turned[(measured + value) // 2, value - measured + size - 1] = counts
    return turned


HeldOutKey = tuple[str, int, str]  # subject, fold, method


def agreement_rows(
    key: HeldOutKey, matched: MatchedVoxels, measured: Quantities, source: Quantities
) -> Iterator[Agreement]:
    """A row for every tissue that there is enough of, and quantity."""
    for tissue, inside in tissue_masks(matched.tissue):
        for quantity, values in measured.to_dict().items():
            summary = summarize_differences(values[inside], source.to_dict()[quantity][inside])
            yield Agreement(*key, tissue, quantity, *summary)


def joint_histograms(
    matched: MatchedVoxels, measured: Quantities, source: Quantities
) -> Integer[np.ndarray, "tissue quantity b b"]:
    """Of every tissue and quantity; of a tissue that there is too little of, zeros."""
    quantities = measured.to_dict()
    counts = np.zeros(
        (len(TISSUE_CODES), len(quantities), HISTOGRAM_BINS, HISTOGRAM_BINS), np.uint32
    )
    for tissue, inside in tissue_masks(matched.tissue):
        for column, (quantity, values) in enumerate(quantities.items()):
            pair = (values[inside], source.to_dict()[quantity][inside])
            counts[list(TISSUE_CODES).index(tissue), column] = joint_histogram(*pair, quantity)
    return counts


def rish_powers(
    key: HeldOutKey,
    matched: MatchedVoxels,
    quantities: Quantities,
    shells: Sequence[Shell],
    *,
    is_denoised: bool,
) -> Iterator[RishPower]:
    """Mean power of each order of each shell.

    Noise adds to the power of every order. To a prediction that is free of it (`denoised`) the noise of the target's
    scan is added, in the mean and as if it were Gaussian, so that all is compared as it would be measured.
    """
    inverse = np.linalg.pinv(matched.sh_matrix.astype(np.float64)).T
    groups = order_indices(shells)
    power = rish(quantities.signal @ inverse, groups)
    if is_denoised:
        power = power + np.nan_to_num(matched.noise_variance)[:, None] * noise_power(
            inverse, groups
        )
    names = [
        (shell.bvalue, int(order))
        for shell in shells
        for order in np.unique(l_values(shell.sh_order))
    ]
    for tissue, inside in tissue_masks(matched.tissue):
        for (bvalue, order), mean in zip(names, power[inside].mean(axis=0), strict=True):
            yield RishPower(*key, tissue, bvalue, order, float(mean))
