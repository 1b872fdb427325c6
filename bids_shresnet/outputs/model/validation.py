"""Result of a cross-validation: `Validation` in model.json, as frozen dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bids_shresnet.settings import Method

Answer = Literal["yes", "no", "not enough subjects"]


@dataclass(frozen=True)
class BaselineAnswer:
    """Answer to whether the validated method is better than a baseline, with its p-values."""

    answer: Answer
    largest_p: float
    smallest_possible_p: float


@dataclass(frozen=True)
class Coverage:
    """Share of held-out measurements within the uncertainty of their prediction.

    Attributes
    ----------
    subjects
        Number of held-out subjects; the factors of each come from the others.
    factor
        Factor on predicted standard deviations, so that 68 % of the measurements of all held-out
        subjects lie within one. The uncertainty maps contain it.
    coverage_factor_95
        Half of the width of the 95 % interval in standard deviations of the uncertainty maps; 1.96
        for normal errors (the coverage factor k of the GUM, JCGM 100:2008, 6.2).
    within_68, within_95
        Shares within the intervals that 68 and 95 % should lie in, mean over subjects. The noise of
        the target's measurement is part of the intervals.
    rank_correlation
        Spearman correlation of predicted deviation and absolute error over voxels.
    """

    tissue: str
    quantity: str
    subjects: int
    factor: float
    coverage_factor_95: float
    within_68: float
    within_95: float
    rank_correlation: float


@dataclass(frozen=True)
class Uncertainty:
    """Calibration of the uncertainty maps on held-out subjects."""

    coverages: tuple[Coverage, ...]

    @property
    def factors(self) -> dict[tuple[str, str], float]:
        """Factor on the standard deviations of each tissue and quantity."""
        return {(item.tissue, item.quantity): item.factor for item in self.coverages}

    @property
    def coverage_factors_95(self) -> dict[str, dict[str, float]]:
        """Half widths of the 95 % intervals in standard deviations, by quantity and tissue."""
        factors: dict[str, dict[str, float]] = {}
        for item in self.coverages:
            factors.setdefault(item.quantity, {})[item.tissue] = item.coverage_factor_95
        return factors


@dataclass(frozen=True)
class MissingShellError:
    """Mean NMSE of one predicted shell in one tissue of held-out subjects."""

    bvalue: float
    method: Method
    tissue: str
    nmse: float


@dataclass(frozen=True)
class EffectRecovery:
    """How much of a known effect is found again in one tissue and quantity.

    Attributes
    ----------
    effect, maps
        Name of the effect, and kind of the harmonized maps.
    n
        Number of subjects.
    put_in
        Relative change of the maps if it is put into the harmonized scan, mean over subjects.
    recovered
        Change found over change put in, mean over subjects; 1 is all of it.
    interval
        95 % bootstrap interval of `recovered` over subjects; None for very few subjects.
    false_positives
        Share of voxels beside the effect that change by more than noise alone lets 5 % of them
        change, mean over subjects; None if there are no such voxels.
    """

    effect: str
    maps: str
    tissue: str
    quantity: str
    n: int
    put_in: float
    recovered: float
    interval: tuple[float, float] | None = None
    false_positives: float | None = None


@dataclass(frozen=True, kw_only=True)
class Equivalence:
    """Test that the site bias of a method lies within a margin.

    Attributes
    ----------
    region
        Tissue, or region of the input's parcellation.
    subjects
        Number of held-out subjects.
    bias
        Mean over subjects of the predicted mean relative to the target's, minus 1.
    interval
        90 % interval of the bias (Student); None for too few subjects, as p.
    margin
        Largest bias, of either sign, that counts as equivalent.
    p
        The larger p of two one-sided t-tests.
    answer
        "no" means that equivalence is not shown; it does not mean that there is a bias.
    """

    method: str
    region: str
    quantity: str
    subjects: int
    bias: float
    interval: tuple[float, float] | None = None
    margin: float
    p: float | None = None
    answer: Answer


@dataclass(frozen=True, kw_only=True)
class Preservation:
    """Agreement of the differences between subjects with those that the target measured.

    Attributes
    ----------
    region
        Tissue, or region of the input's parcellation.
    subjects
        Number of held-out subjects.
    slope, slope_interval
        Slope of the predicted means on the target's over subjects, and its 95 % interval.
    icc, icc_interval
        ICC(2,1), absolute agreement of predicted and target's means, and its 95 % interval.
    rank_correlation
        Spearman correlation of predicted and target's means.
    detectable_change
        Smallest relative difference between a harmonized and a target scan of one subject that is
        no measurement error (95 %).
    """

    method: str
    region: str
    quantity: str
    subjects: int
    slope: float
    slope_interval: tuple[float, float]
    icc: float
    icc_interval: tuple[float, float]
    rank_correlation: float
    detectable_change: float


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Result of a cross-validation.

    Attributes
    ----------
    method
        Method that was validated.
    subjects
        Number of held-out subjects.
    better_than
        Answers by baseline.
    equivalence, preservation
        Of tissues: of no harmonization first, then of the method.
    uncertainty
        Calibration of the uncertainty maps; None for methods without them.
    missing_shells
        Errors of the predicted shells.
    effects
        How much of known effects is found again.
    """

    method: Method
    subjects: int
    better_than: Mapping[str, BaselineAnswer]
    equivalence: tuple[Equivalence, ...] = ()
    preservation: tuple[Preservation, ...] = ()
    uncertainty: Uncertainty | None = None
    missing_shells: tuple[MissingShellError, ...] = ()
    effects: tuple[EffectRecovery, ...] = ()
