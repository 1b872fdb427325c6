"""How often the target's measurements lie within the uncertainty of their prediction.

Predicted standard deviations are multiplied by one factor per tissue and quantity, so that 68 % of
the measurements of held-out subjects lie within one of them (a conformal calibration: Vovk et al.
2005). Errors may have heavier tails than normal ones. The interval of 95 % therefore has a factor
of its own, found in the same way. The coverage of a subject is reported with the factors of the
other subjects.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import norm, spearmanr

from bids_shresnet.evaluation.results import HeldOutRow
from bids_shresnet.outputs.model.validation import Coverage, Uncertainty

LEVELS = (0.68, 0.95)
FACTORS = tuple(np.geomspace(0.1, 10, 81).tolist())


@dataclass(frozen=True)
class PredictedDeviation:
    """Standard deviation of a quantity about its prediction, and of the target's noise in it."""

    prediction: Float[np.ndarray, "v *d"]
    noise: Float[np.ndarray, "v *d"]


@dataclass(frozen=True, kw_only=True)
class CoverageRow(HeldOutRow):
    """Share of a tissue's measurements within the uncertainty, by the factor on it.

    Attributes
    ----------
    within_68, within_95
        Shares within the interval of each level, one for each of `FACTORS`.
    rank_correlation
        Spearman correlation of predicted deviation and absolute error over voxels.
    """

    tissue: str
    quantity: str
    within_68: Sequence[float]
    within_95: Sequence[float]
    rank_correlation: float


def coverage_rows(
    row: HeldOutRow,
    tissues: Mapping[str, Bool[np.ndarray, " v"]],
    errors: Mapping[str, Float[np.ndarray, "v *d"]],
    deviations: Mapping[str, PredictedDeviation],
) -> Iterator[CoverageRow]:
    """Yield a row per tissue and quantity.

    `errors` are measured minus predicted values, `deviations` their predicted size.
    """
    for (quantity, deviation), (tissue, mask) in product(deviations.items(), tissues.items()):
        error = np.abs(errors[quantity][mask])
        predicted = deviation.prediction[mask]
        within_68, within_95 = _share_within(error, predicted, deviation.noise[mask])
        yield CoverageRow(
            **vars(row),
            tissue=tissue,
            quantity=quantity,
            within_68=within_68,
            within_95=within_95,
            rank_correlation=_correlate(predicted, error),
        )


def calibrate_uncertainty(rows: Sequence[CoverageRow]) -> Uncertainty | None:
    """Find the factor of every tissue and quantity, and the coverage by the others' factor.

    Parts of fewer than two subjects are left out, because each subject needs the factor of others.
    None if no part is left.
    """
    parts: dict[tuple[str, str], list[CoverageRow]] = defaultdict(list)
    for row in rows:
        parts[row.quantity, row.tissue].append(row)
    coverages = tuple(_summarize(part) for part in parts.values() if _has_two_subjects(part))
    return Uncertainty(coverages) if coverages else None


def _has_two_subjects(rows: Sequence[CoverageRow]) -> bool:
    return len({row.subject for row in rows}) >= 2


def _correlate(predicted: Float[np.ndarray, "v *d"], error: Float[np.ndarray, "v *d"]) -> float:
    """Rank correlation over voxels of the root mean squares over directions."""
    sizes = [np.square(part).reshape(len(part), -1).mean(axis=1) for part in (predicted, error)]
    return float(spearmanr(*sizes).statistic)


def _share_within(
    error: Float[np.ndarray, "v *d"],
    predicted: Float[np.ndarray, "v *d"],
    noise: Float[np.ndarray, "v *d"],
) -> list[tuple[float, ...]]:
    """Share of errors within the interval of each level, for every factor.

    An error e is within z standard deviations if e^2 <= z^2 (factor^2 predicted^2 + noise^2).
    """
    variance = np.maximum(np.square(predicted), np.finfo(np.float32).tiny)
    squared_factors = np.square(FACTORS)
    shares: list[tuple[float, ...]] = []
    for level in LEVELS:
        limit = norm.ppf((1 + level) / 2)
        needed = (np.square(error / limit) - np.square(noise)) / variance  # squared factor
        rank = np.searchsorted(squared_factors, needed.ravel())
        counts = np.bincount(rank, minlength=len(FACTORS) + 1)[:-1]
        shares.append(tuple((np.cumsum(counts) / rank.size).tolist()))
    return shares


def _find_factors(rows: Sequence[CoverageRow]) -> list[float]:
    """Factors at which 68 and 95 % of the measurements are covered, in the mean of subjects."""
    curves = np.mean([(row.within_68, row.within_95) for row in rows], axis=0)
    return [
        float(np.exp(np.interp(level, np.maximum.accumulate(curve), np.log(FACTORS))))
        for level, curve in zip(LEVELS, curves, strict=True)
    ]


def _summarize(rows: Sequence[CoverageRow]) -> Coverage:
    """Factors of all subjects, and their mean coverage, each with the factors of the others."""
    within_68, within_95 = np.mean([_cross_validate(row, rows) for row in rows], axis=0)
    narrow, wide = _find_factors(rows)
    return Coverage(
        tissue=rows[0].tissue,
        quantity=rows[0].quantity,
        subjects=len(rows),
        factor=narrow,
        coverage_factor_95=float(norm.ppf((1 + LEVELS[1]) / 2)) * wide / narrow,
        within_68=float(within_68),
        within_95=float(within_95),
        rank_correlation=float(np.mean([row.rank_correlation for row in rows])),
    )


def _cross_validate(row: CoverageRow, rows: Sequence[CoverageRow]) -> list[float]:
    """Coverage of a subject's row with the factors of the other subjects."""
    factors = _find_factors([other for other in rows if other.subject != row.subject])
    curves = (row.within_68, row.within_95)
    return [
        float(np.interp(np.log(factor), np.log(FACTORS), curve))
        for factor, curve in zip(factors, curves, strict=True)
    ]
