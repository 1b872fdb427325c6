"""Whether harmonization keeps the differences between subjects.

A lower error does not show it, because making every subject alike lowers errors, too.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import stats

from bids_shresnet.evaluation.group_means.paired_means import PairedMeans
from bids_shresnet.evaluation.group_means.reliability import (
    MIN_RELIABILITY_SUBJECTS,
    between_subject_slope,
    detectable_change,
    intraclass_correlation,
)
from bids_shresnet.outputs.model.validation import Preservation


def assess_preservation(pairs: Iterable[PairedMeans]) -> tuple[Preservation, ...]:
    """Compare the means of subjects with those that the target measured, in each region.

    Regions with too few subjects, or where all subjects have one mean, are skipped.
    """
    return tuple(_assess_region(item) for item in pairs if _is_assessable(item))


def _is_assessable(pairs: PairedMeans) -> bool:
    has_subjects = len(pairs.means) >= MIN_RELIABILITY_SUBJECTS
    return has_subjects and bool(min(np.ptp(pairs.means), np.ptp(pairs.target_means)) > 0)


def _assess_region(pairs: PairedMeans) -> Preservation:
    slope = between_subject_slope(pairs.target_means, pairs.means)
    correlation = intraclass_correlation(np.column_stack([pairs.target_means, pairs.means]))
    ranks = stats.spearmanr(pairs.target_means, pairs.means)
    return Preservation(
        method=pairs.region.method,
        region=pairs.region.name,
        quantity=pairs.region.quantity,
        subjects=len(pairs.means),
        slope=slope.value,
        slope_interval=slope.interval,
        icc=correlation.value,
        icc_interval=correlation.interval,
        rank_correlation=float(ranks.statistic),
        detectable_change=float(detectable_change(pairs.biases)),
    )
