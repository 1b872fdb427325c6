"""Paired statistics over held-out subjects.

The unit is the subject, because folds of one subject are not independent. p-values come from the
one-sided Wilcoxon signed-rank test, because the claim has a direction: an error is lower. The test
makes no assumption about the size of errors. With n subjects p cannot fall below 1 / 2^n.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float
from scipy import stats

CONFIDENCE_LEVEL = 0.95
BOOTSTRAP_RESAMPLES = 9999
BOOTSTRAP_SEED = 2018
MIN_EQUIVALENCE_SUBJECTS = 3  # with two, the standard deviation is one difference
MIN_BOOTSTRAP_SUBJECTS = 3  # a bootstrap of fewer subjects has no meaning
Interval: TypeAlias = tuple[float, float]
Statistic: TypeAlias = Callable[[Float[np.ndarray, "k m n"]], Float[np.ndarray, " m"]]


def adjust_p_values(p: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values for their number (Holm 1979), which controls the family-wise error rate.

    statsmodels has this too, but collects garbage at every call, which takes 0.3 s in a run.
    """
    order = np.argsort(p)
    scaled = np.sort(p) * np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(scaled), 1)
    return tuple(adjusted.tolist())


def wilcoxon_p_value(differences: Float[np.ndarray, " n"]) -> float:
    """One-sided p of "the differences are below zero"; 1 if all of them are zero.

    It is exact for up to 50 subjects without ties.
    """
    if not differences.any():
        return 1.0
    return float(stats.wilcoxon(differences, alternative="less").pvalue)


def smallest_p_value(subject_count: int) -> float:
    """Smallest p that the one-sided Wilcoxon test can give: 1 / 2^n."""
    return float(2.0**-subject_count)


def bootstrap_interval(samples: Float[np.ndarray, "k n"], statistic: Statistic) -> Interval:
    """95 % bootstrap interval of a statistic of k values per subject, over n subjects.

    Percentiles are expanded for small n as in Hesterberg (2015), "What teachers should know about
    the bootstrap": their normal quantile becomes Student's times sqrt(n / (n - 1)). Plain
    percentiles are too narrow. A statistic may be infinite for some resamples, and the interval
    then has no limit on that side. NaN for fewer than `MIN_BOOTSTRAP_SUBJECTS` subjects.
    """
    n = samples.shape[1]
    if n < MIN_BOOTSTRAP_SUBJECTS:
        return (float("nan"), float("nan"))
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    resamples = rng.integers(n, size=(BOOTSTRAP_RESAMPLES, n))
    student_quantile = stats.t.ppf((1 - CONFIDENCE_LEVEL) / 2, n - 1)
    tail = stats.norm.cdf(np.sqrt(n / (n - 1)) * student_quantile)
    values = statistic(samples[:, resamples])
    # between infinite values, an interpolation would be NaN
    method: Literal["linear", "closest_observation"]
    method = "linear" if np.isfinite(values).all() else "closest_observation"
    low, high = np.quantile(values, [tail, 1 - tail], method=method)
    return (float(low), float(high))


def equivalence_p_value(values: Float[np.ndarray, " n"], margin: float) -> float:
    """Two one-sided t-tests (Schuirmann 1987) that the mean lies within +-margin; the larger p.

    p <= .05 if and only if the 90 % interval of `student_interval` lies within the margin. NaN for
    fewer than `MIN_EQUIVALENCE_SUBJECTS` subjects.
    """
    if len(values) < MIN_EQUIVALENCE_SUBJECTS:
        return float("nan")
    distance = margin - abs(float(values.mean()))
    error = float(stats.sem(values))
    if error == 0:
        return 0.0 if distance > 0 else 1.0
    return float(stats.t.sf(distance / error, len(values) - 1))


def student_interval(values: Float[np.ndarray, " n"], level: float = CONFIDENCE_LEVEL) -> Interval:
    """Student's interval of the mean; NaN for fewer than `MIN_EQUIVALENCE_SUBJECTS` subjects."""
    n = len(values)
    if n < MIN_EQUIVALENCE_SUBJECTS:
        return (float("nan"), float("nan"))
    margin = stats.t.ppf((1 + level) / 2, n - 1) * stats.sem(values)
    mean = values.mean()
    return (float(mean - margin), float(mean + margin))


def error_decrease(errors: Float[np.ndarray, "2 m n"]) -> Float[np.ndarray, " m"]:
    """1 - mean error / mean baseline error over n subjects; NaN where the baseline has no error."""
    error, baseline_error = errors.mean(axis=-1)
    ratio: Float[np.ndarray, " m"] = np.divide(
        error,
        baseline_error,
        out=np.full_like(baseline_error, np.nan),
        where=baseline_error > 0,
    )
    return 1 - ratio


def sample_mean(values: Float[np.ndarray, "1 m n"]) -> Float[np.ndarray, " m"]:
    """Mean over n subjects."""
    means: Float[np.ndarray, " m"] = values[0].mean(axis=-1)
    return means
