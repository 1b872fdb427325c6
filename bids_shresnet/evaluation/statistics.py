"""What held-out subjects say about methods: errors compared in pairs, their intervals, and the bias left per site.

The unit is the subject: folds of one subject are averaged first, because they are not independent. A p-value is that of
the two-sided Wilcoxon signed-rank test, which assumes nothing about the distribution of errors; with n subjects it
cannot fall below 2 / 2^n, however good a method is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float
from scipy import stats

TISSUES = ("WM", "GM")
QUANTITIES = ("signal", "FA", "MD")
RESCAN = "rescan"  # the target scanner against itself: what no harmonizer can go below
TISSUE_MEAN_METHODS = frozenset({"combat_mean"})  # correct the mean of a tissue and no voxel
CONFIDENCE_LEVEL = 0.95
BOOTSTRAP_RESAMPLES = 9999
BOOTSTRAP_SEED = 2018
MIN_BOOTSTRAP_SUBJECTS = 3  # subjects; the bootstrap of fewer says nothing
ErrorMeasure = Literal["nmse", "squared_bias", "bias"]
Statistic: TypeAlias = Callable[[Float[np.ndarray, "k m n"]], Float[np.ndarray, " m"]]


@dataclass(frozen=True)
class HeldOutResult:
    """How one method did on a subject that it was not trained on, in one tissue and quantity.

    Attributes
    ----------
    subject
        Label without `sub-`.
    fold
        Number of the split that held the subject out.
    tissue, quantity
        One of `TISSUES` and `QUANTITIES`.
    nmse
        Squared differences to the target scanner's measurement over that measurement's sum of squares.
    bias
        Mean over the tissue, over the mean that the target scanner measured there, minus 1.
    """

    subject: str
    fold: int
    method: str
    tissue: str
    quantity: str
    nmse: float
    bias: float

    def __post_init__(self) -> None:
        known = self.tissue in TISSUES and self.quantity in QUANTITIES
        if not known or not np.isfinite([self.nmse, self.bias]).all() or self.nmse < 0:
            msg = f"expected a tissue of {TISSUES}, a quantity of {QUANTITIES} and finite errors, got {self}"
            raise ValueError(msg)

    @property
    def squared_bias(self) -> float:
        """NMSE of the tissue's mean: (mean - measured)^2 / measured^2."""
        return self.bias**2


@dataclass(frozen=True)
class Comparison:
    """A method against another on the same subjects, in one tissue and quantity.

    Attributes
    ----------
    is_mean_error
        Whether the error is that of the tissue's mean (bias squared), as it is against `TISSUE_MEAN_METHODS`; else of voxels.
    n
        Subjects that both methods were tried on.
    error, baseline_error
        NMSE, mean over subjects.
    decrease
        1 - error / reference error: part of the reference's error that is gone; below 0 if the method is worse.
    interval
        95 % bootstrap interval of the decrease over subjects; NaN for fewer than `FEWEST`.
    improved_share
        Share of subjects with a lower error.
    p, p_floor, p_holm
        Two-sided Wilcoxon; the smallest that n subjects can give; adjusted by Holm over the table it stands in.
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
    interval: tuple[float, float]
    improved_share: float
    p: float
    p_floor: float
    p_holm: float

    @property
    def is_better(self) -> bool:
        """Lower on average and in most subjects: the mean alone can hang on one subject, ranks say no size."""
        return self.decrease > 0 and self.improved_share > 0.5


@dataclass(frozen=True)
class Bias:
    """Signed site bias that a method leaves: mean over subjects and its 95 % bootstrap interval."""

    method: str
    tissue: str
    quantity: str
    n: int
    mean: float
    interval: tuple[float, float]


def compare_methods(
    rows: Iterable[HeldOutResult], method: str, baselines: Iterable[str]
) -> tuple[Comparison, ...]:
    """Compare a method with each reference in every tissue and quantity that both have; Holm over all of these."""
    table = tuple(rows)
    found = [
        _compare_endpoint(table, method, place) for place in product(baselines, TISSUES, QUANTITIES)
    ]
    kept = [comparison for comparison in found if comparison]
    adjusted = adjust_p_values([comparison.p for comparison in kept])
    return tuple(
        replace(comparison, p_holm=p) for comparison, p in zip(kept, adjusted, strict=True)
    )


def adjust_p_values(p: Sequence[float]) -> tuple[float, ...]:
    """p-values adjusted for their number so that one false claim among all has the stated chance (Holm 1979)."""
    values = np.asarray(p, float)
    order = np.argsort(values)
    steps = values[order] * np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return tuple(adjusted.tolist())


def summarize_bias(rows: Iterable[HeldOutResult]) -> tuple[Bias, ...]:
    """Site bias by method in the order of the rows, then by tissue and quantity."""
    table = tuple(rows)
    methods = dict.fromkeys(row.method for row in table)
    found = [_endpoint_bias(table, place) for place in product(methods, TISSUES, QUANTITIES)]
    return tuple(bias for bias in found if bias)


def subject_means(
    rows: Iterable[HeldOutResult], endpoint: tuple[str, str, str], measure: ErrorMeasure = "nmse"
) -> Mapping[str, float]:
    """One value a subject, the mean over its folds, sorted by subject; a place is method, tissue, quantity."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if (row.method, row.tissue, row.quantity) == endpoint:
            values.setdefault(row.subject, []).append(getattr(row, measure))
    return {subject: float(np.mean(values[subject])) for subject in sorted(values)}


def bootstrap_interval(
    samples: Float[np.ndarray, "k n"], statistic: Statistic
) -> tuple[float, float]:
    """95 % interval of a statistic of k values a subject, over n subjects drawn again and again.

    Percentiles, expanded as Hesterberg (2015, "What teachers should know about the bootstrap") does for small n,
    where plain percentiles are too narrow: their normal quantile is replaced by Student's times sqrt(n / (n - 1)).
    """
    n = samples.shape[1]
    if n < MIN_BOOTSTRAP_SUBJECTS:
        return (float("nan"), float("nan"))
    drawn = np.random.default_rng(BOOTSTRAP_SEED).integers(n, size=(BOOTSTRAP_RESAMPLES, n))
    tail = stats.norm.cdf(np.sqrt(n / (n - 1)) * stats.t.ppf((1 - CONFIDENCE_LEVEL) / 2, n - 1))
    low, high = np.quantile(statistic(samples[:, drawn]), [tail, 1 - tail])
    return (float(low), float(high))


def _compare_endpoint(
    rows: Sequence[HeldOutResult], method: str, endpoint: tuple[str, str, str]
) -> Comparison | None:
    """Compare with the reference in one place, p not adjusted yet; nothing where no subject has both."""
    reference, tissue, quantity = endpoint
    of_means = not TISSUE_MEAN_METHODS.isdisjoint((method, reference))
    value: ErrorMeasure = "squared_bias" if of_means else "nmse"
    ours, theirs = (
        subject_means(rows, (method, tissue, quantity), value),
        subject_means(rows, endpoint, value),
    )
    both = [subject for subject in ours if subject in theirs]
    if not both:
        return None
    errors = np.array([[values[subject] for subject in both] for values in (ours, theirs)])
    (error, reference_error), p = errors.mean(axis=1).tolist(), _wilcoxon_p(errors[0] - errors[1])
    decrease, improved = (
        float(_error_decrease(errors[:, None])[0]),
        float(np.mean(errors[0] < errors[1])),
    )
    interval, floor = bootstrap_interval(errors, _error_decrease), 2.0 ** (1 - len(both))
    outcome = (error, reference_error, decrease, interval, improved, p, floor, p)
    return Comparison(method, reference, tissue, quantity, of_means, len(both), *outcome)


def _endpoint_bias(rows: Sequence[HeldOutResult], endpoint: tuple[str, str, str]) -> Bias | None:
    """Site bias in one place; nothing where the method has no rows."""
    bias = np.array([list(subject_means(rows, endpoint, "bias").values())])
    return (
        Bias(*endpoint, bias.size, float(bias.mean()), bootstrap_interval(bias, _mean))
        if bias.size
        else None
    )


def _wilcoxon_p(differences: Float[np.ndarray, " n"]) -> float:
    """Two-sided p, exact for up to 50 subjects without ties; methods that agree everywhere give 1."""
    return float(stats.wilcoxon(differences).pvalue) if differences.any() else 1.0


def _error_decrease(errors: Float[np.ndarray, "2 m n"]) -> Float[np.ndarray, " m"]:
    """1 - mean error / mean reference error; undefined against a reference without error."""
    ours, theirs = errors.mean(axis=-1)
    undefined = np.full_like(theirs, np.nan)
    ratio: Float[np.ndarray, " m"] = np.divide(ours, theirs, out=undefined, where=theirs > 0)
    return 1 - ratio


def _mean(values: Float[np.ndarray, "1 m n"]) -> Float[np.ndarray, " m"]:
    means: Float[np.ndarray, " m"] = values[0].mean(axis=-1)
    return means
