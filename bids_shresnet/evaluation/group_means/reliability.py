"""Agreement of two measurements of each subject: slope, reliability and detectable change.

The first measurement is the reference (the target scanner), the second is what is judged (a
harmonized scan). There is one value per subject in each.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import stats

from bids_shresnet.evaluation.statistics import CONFIDENCE_LEVEL, Interval

MIN_RELIABILITY_SUBJECTS = 3  # a line through two subjects has no error
DETECTABLE_CHANGE_SD = 1.96  # standard deviations that 95 % of normal differences stay within
UPPER_QUANTILE = 1 - (1 - CONFIDENCE_LEVEL) / 2


class Estimate(NamedTuple):
    """A number and its 95 % interval."""

    value: float
    interval: Interval


class MeanSquares(NamedTuple):
    """Mean squares of a two-way analysis of variance of n subjects on k scanners.

    Attributes
    ----------
    subjects, scanners
        Between subjects, and between scanners.
    residual
        What is left of both.
    """

    n: int
    k: int
    subjects: float
    scanners: float
    residual: float

    @property
    def within(self) -> float:
        """The total variance times n k, less n times the mean square of the subjects."""
        degrees = self.k * self.n - self.k - self.n
        return self.k * self.scanners + degrees * self.residual


def between_subject_slope(
    reference: Float[np.ndarray, " n"], values: Float[np.ndarray, " n"]
) -> Estimate:
    """Slope of the least-squares line of the values on the reference, with Student's interval.

    1 keeps the differences between subjects; below 1, subjects become alike. Noise of the reference
    lowers it by its share of the reference's variance.

    Raises
    ------
    ValueError
        For fewer than `MIN_RELIABILITY_SUBJECTS` subjects, or a constant reference.
    """
    _check_subject_count(reference)
    line = stats.linregress(reference, values)
    margin = stats.t.ppf(UPPER_QUANTILE, len(reference) - 2) * line.stderr
    return Estimate(float(line.slope), (float(line.slope - margin), float(line.slope + margin)))


def intraclass_correlation(ratings: Float[np.ndarray, "n k"]) -> Estimate:
    """ICC(2,1) of Shrout and Fleiss (1979), which is ICC(A,1) of McGraw and Wong (1996).

    It is the share of the variance of one measurement that lies between subjects (two-way random
    effects, absolute agreement). A bias between scanners lowers it, and so does noise. The interval
    is for scanners in general: where two scanners differ in the mean, it is wide.

    Parameters
    ----------
    ratings
        One row per subject, one column per scanner.

    Raises
    ------
    ValueError
        For fewer than `MIN_RELIABILITY_SUBJECTS` subjects, or if all values are equal.
    """
    _check_subject_count(ratings)
    squares = _mean_squares(ratings)
    total = squares.n * squares.subjects + squares.within
    if total <= 0:
        msg = "the values of all subjects are equal"
        raise ValueError(msg)
    correlation = squares.n * (squares.subjects - squares.residual) / total
    return Estimate(correlation, _correlation_interval(correlation, squares))


def detectable_change(relative_differences: Float[np.ndarray, "*m n"]) -> Float[np.ndarray, "*m"]:
    """Smallest relative difference between two scans of a subject that is no measurement error.

    It is the repeatability coefficient of Bland and Altman (1986), with one scan on each scanner:
    1.96 sqrt(2) times the standard deviation within a subject, whose square is half of the mean
    squared difference. A bias between the scanners counts as error.
    """
    mean_square = np.square(relative_differences).mean(axis=-1)
    return np.asarray(DETECTABLE_CHANGE_SD * np.sqrt(mean_square))


def _mean_squares(ratings: Float[np.ndarray, "n k"]) -> MeanSquares:
    n, k = ratings.shape
    subject_means = ratings.mean(axis=1)
    scanner_means = ratings.mean(axis=0)
    residuals = ratings - subject_means[:, None] - scanner_means + ratings.mean()
    return MeanSquares(
        n=n,
        k=k,
        subjects=float(k * np.var(subject_means, ddof=1)),
        scanners=float(n * np.var(scanner_means, ddof=1)),
        residual=float(np.square(residuals).sum() / ((n - 1) * (k - 1))),
    )


def _correlation_interval(correlation: float, squares: MeanSquares) -> Interval:
    """Interval of ICC(2,1), Shrout and Fleiss (1979, p. 425)."""
    n = squares.n
    freedom = _within_freedom(correlation, squares)
    if not np.isfinite(freedom):  # no subject differs between scanners
        return (correlation, correlation)
    high_f = float(stats.f.ppf(UPPER_QUANTILE, n - 1, freedom))
    low_f = float(stats.f.ppf(UPPER_QUANTILE, freedom, n - 1))
    lower = n * (squares.subjects - high_f * squares.residual)
    upper = n * (low_f * squares.subjects - squares.residual)
    return (
        lower / (high_f * squares.within + n * squares.subjects),
        upper / (squares.within + n * low_f * squares.subjects),
    )


def _within_freedom(correlation: float, squares: MeanSquares) -> float:
    """Degrees of freedom of the variance within subjects (Satterthwaite); infinite without it."""
    n = squares.n
    k = squares.k
    scanners = k * correlation * squares.scanners
    residual = (n * (1 + (k - 1) * correlation) - k * correlation) * squares.residual
    spread = (n - 1) * scanners**2 + residual**2
    return (k - 1) * (n - 1) * (scanners + residual) ** 2 / spread if spread else float("inf")


def _check_subject_count(values: Float[np.ndarray, "n ..."]) -> None:
    if len(values) < MIN_RELIABILITY_SUBJECTS:
        msg = f"expected at least {MIN_RELIABILITY_SUBJECTS} subjects, got {len(values)}"
        raise ValueError(msg)
