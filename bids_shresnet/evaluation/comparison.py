"""Comparison of a method with baselines on held-out subjects, and the site bias of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, NamedTuple

import numpy as np

from bids_shresnet.evaluation.results import (
    ALL_PLACES,
    NOISE_FLOOR,
    QUANTITIES,
    TISSUES,
    HeldOutResult,
)
from bids_shresnet.evaluation.statistics import (
    Interval,
    adjust_p_values,
    bootstrap_interval,
    error_decrease,
    sample_mean,
    smallest_p_value,
    wilcoxon_p_value,
)

TISSUE_MEAN_METHODS = frozenset({"combat_mean"})  # they correct a tissue's mean, and no voxel
ErrorMeasure = Literal["nmse", "squared_bias", "bias"]


class Endpoint(NamedTuple):
    """Where a method is evaluated."""

    method: str
    tissue: str
    quantity: str


@dataclass(frozen=True)
class Comparison:
    """A method and a baseline on the same subjects, in one tissue and quantity.

    Attributes
    ----------
    is_mean_error
        True if the error is that of the tissue's mean (squared bias), as it is against
        `TISSUE_MEAN_METHODS`; otherwise it is that of voxels.
    n
        Subjects that both methods were evaluated on.
    error, baseline_error
        NMSE, mean over subjects.
    decrease
        1 - error / baseline error; below 0 if the method is worse.
    interval
        95 % bootstrap interval of the decrease over subjects; NaN for very few subjects.
    improved_share
        Share of subjects with a lower error.
    p, p_floor
        One-sided Wilcoxon test of a lower error, uncorrected, and the smallest p that n subjects
        can give.
    p_holm
        p adjusted by Holm over all comparisons of the table.
    """

    method: str
    baseline: str
    tissue: str
    quantity: str
    is_mean_error: bool
    n: int
    error: float
    baseline_error: float
    decrease: float
    interval: Interval
    improved_share: float
    p: float
    p_floor: float
    p_holm: float

    @property
    def is_better(self) -> bool:
        """The error is lower on average and in most subjects.

        The mean alone can depend on one subject, and ranks say nothing about size.
        """
        return self.decrease > 0 and self.improved_share > 0.5


@dataclass(frozen=True)
class Bias:
    """Signed site bias of a method: mean over n subjects and its 95 % bootstrap interval."""

    method: str
    tissue: str
    quantity: str
    n: int
    mean: float
    interval: Interval


def compare_methods(
    rows: Iterable[HeldOutResult], method: str, baselines: Iterable[str]
) -> tuple[Comparison, ...]:
    """Compare a method with baselines in every tissue and quantity that both have.

    The p-values are adjusted by Holm over all of these comparisons.
    """
    table = tuple(rows)
    candidates = [
        _compare_endpoint(table, method, Endpoint(baseline, tissue, quantity))
        for baseline, tissue, quantity in product(baselines, TISSUES, QUANTITIES)
    ]
    comparisons = [comparison for comparison in candidates if comparison]
    adjusted = adjust_p_values([comparison.p for comparison in comparisons])
    return tuple(
        replace(comparison, p_holm=p) for comparison, p in zip(comparisons, adjusted, strict=True)
    )


def summarize_bias(rows: Iterable[HeldOutResult]) -> tuple[Bias, ...]:
    """Site bias by method in the order of the rows, then by tissue and quantity."""
    table = tuple(row for row in rows if row.method != NOISE_FLOOR)
    methods = dict.fromkeys(row.method for row in table)
    biases = [
        _endpoint_bias(table, Endpoint(method, tissue, quantity))
        for method, tissue, quantity in product(methods, TISSUES, QUANTITIES)
    ]
    return tuple(bias for bias in biases if bias)


def subject_means(
    rows: Iterable[HeldOutResult],
    endpoint: Endpoint,
    measure: ErrorMeasure = "nmse",
    *,
    places: str = ALL_PLACES,
) -> Mapping[str, float]:
    """Return one value per subject, the mean over its folds, sorted by subject."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if (row.method, row.tissue, row.quantity) == endpoint and row.places == places:
            values.setdefault(row.subject, []).append(getattr(row, measure))
    return {subject: float(np.mean(values[subject])) for subject in sorted(values)}


def _compare_endpoint(
    rows: Sequence[HeldOutResult], method: str, baseline: Endpoint
) -> Comparison | None:
    """Compare at the baseline's endpoint, p not adjusted yet; None without common subjects."""
    is_mean_error = not TISSUE_MEAN_METHODS.isdisjoint((method, baseline.method))
    measure: ErrorMeasure = "squared_bias" if is_mean_error else "nmse"
    errors = subject_means(rows, baseline._replace(method=method), measure)
    baseline_errors = subject_means(rows, baseline, measure)
    subjects = [subject for subject in errors if subject in baseline_errors]
    if not subjects:
        return None
    paired = np.array(
        [
            [errors[subject] for subject in subjects],
            [baseline_errors[subject] for subject in subjects],
        ]
    )
    p = wilcoxon_p_value(paired[0] - paired[1])
    return Comparison(
        method=method,
        baseline=baseline.method,
        tissue=baseline.tissue,
        quantity=baseline.quantity,
        is_mean_error=is_mean_error,
        n=len(subjects),
        error=float(paired[0].mean()),
        baseline_error=float(paired[1].mean()),
        decrease=float(error_decrease(paired[:, None])[0]),
        interval=bootstrap_interval(paired, error_decrease),
        improved_share=float(np.mean(paired[0] < paired[1])),
        p=p,
        p_floor=smallest_p_value(len(subjects)),
        p_holm=p,
    )


def _endpoint_bias(rows: Sequence[HeldOutResult], endpoint: Endpoint) -> Bias | None:
    """Site bias at one endpoint; None without rows."""
    biases = np.array([list(subject_means(rows, endpoint, "bias").values())])
    if not biases.size:
        return None
    return Bias(
        method=endpoint.method,
        tissue=endpoint.tissue,
        quantity=endpoint.quantity,
        n=biases.size,
        mean=float(biases.mean()),
        interval=bootstrap_interval(biases, sample_mean),
    )
