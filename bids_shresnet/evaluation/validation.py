"""Validation of a method against its baselines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2

from bids_shresnet.errors import Finding
from bids_shresnet.evaluation.comparison import Comparison
from bids_shresnet.evaluation.statistics import adjust_p_values
from bids_shresnet.io.storage import NOT_AVAILABLE
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.outputs.validation_record import Answer
from bids_shresnet.settings import NO_HARMONIZATION, Method

ALPHA = 0.05
CARD_BASELINES = (NO_HARMONIZATION, "linear_rish", "patch_linear")  # answered in model.json


@dataclass(frozen=True)
class ValidationResult:
    """Whether the method is better than a baseline.

    Attributes
    ----------
    answer
        "no" means not validated; it does not mean that the methods are equal.
    n
        Fewest subjects of any of the comparisons.
    p
        Largest p of the comparisons; adjusted by Holm if several baselines share the alpha.
    p_floor
        Smallest p that so few subjects, and so many baselines, can give.
    better_count, comparison_count
        Comparisons with a lower error, and all comparisons.
    weakest
        The weakest comparison: one that is not better, otherwise the one with the largest p.
    """

    baseline: str
    answer: Answer
    n: int
    p: float
    p_floor: float
    better_count: int
    comparison_count: int
    weakest: Comparison

    @property
    def is_better_everywhere(self) -> bool:
        """The error is lower in all comparisons."""
        return self.better_count == self.comparison_count


def validate_against(
    comparisons: Iterable[Comparison], baseline: str, alpha: float = ALPHA
) -> ValidationResult:
    """Test whether the method is better than one baseline in every tissue and quantity.

    "Yes" needs a lower error, on average and in most subjects, and p <= alpha in each of them.
    Because all have to pass, the largest p is valid without adjustment for the number of tissues
    and quantities (intersection-union test, Berger 1982). `Comparison.p_holm` is for statements
    about single comparisons. `validate_against_all` handles several baselines.

    Raises
    ------
    ValueError
        If there is no comparison with the baseline.
    """
    selected = [comparison for comparison in comparisons if comparison.baseline == baseline]
    if not selected:
        msg = f"no comparison with {baseline!r}"
        raise ValueError(msg)
    result = ValidationResult(
        baseline=baseline,
        answer="no",
        n=min(comparison.n for comparison in selected),
        p=max(comparison.p for comparison in selected),
        p_floor=max(comparison.p_floor for comparison in selected),
        better_count=sum(comparison.is_better for comparison in selected),
        comparison_count=len(selected),
        weakest=max(selected, key=_weakness),
    )
    return _answer(result, alpha)


def validate_against_all(
    comparisons: Iterable[Comparison], primary: str = NO_HARMONIZATION, alpha: float = ALPHA
) -> tuple[ValidationResult, ...]:
    """Test against every baseline so that the chance of any false "yes" is at most alpha.

    The primary baseline comes first and has the full alpha. The others are answered "yes" only if
    the primary one is, with Holm's adjustment among them. This holds only if the primary baseline
    was chosen before the results were known.
    """
    table = tuple(comparisons)
    baselines = dict.fromkeys(comparison.baseline for comparison in table)
    results = [validate_against(table, baseline, alpha) for baseline in baselines]
    primary_results = [result for result in results if result.baseline == primary]
    other_results = [result for result in results if result.baseline != primary]
    can_pass = all(result.answer == "yes" for result in primary_results)
    adjusted = _adjust_for_number(other_results)
    return (*primary_results, *(_answer(result, alpha, can_pass=can_pass) for result in adjusted))


def subjects_needed(alpha: float = ALPHA, baseline_count: int = 1) -> int:
    """Fewest subjects whose smallest possible p, times the number of baselines, is within alpha."""
    return ceil(log2(baseline_count / alpha))


def _adjust_for_number(results: Sequence[ValidationResult]) -> list[ValidationResult]:
    """Adjust p by Holm; its first step multiplies the smallest possible p by the number."""
    adjusted = adjust_p_values([result.p for result in results])
    return [
        replace(result, p=p, p_floor=min(1.0, result.p_floor * len(results)))
        for result, p in zip(results, adjusted, strict=True)
    ]


def _answer(result: ValidationResult, alpha: float, *, can_pass: bool = True) -> ValidationResult:
    """Set the answer that p and the counts give; "yes" only if it can pass."""
    if result.p_floor > alpha:
        return replace(result, answer="not enough subjects")
    is_validated = can_pass and result.is_better_everywhere and result.p <= alpha
    return replace(result, answer="yes" if is_validated else "no")


def _weakness(comparison: Comparison) -> tuple[bool, float]:
    return (not comparison.is_better, comparison.p)


def unvalidated_reasons(model: Model, method: Method) -> tuple[Finding, ...]:
    """Return why a model is not validated with a method; empty if it is validated.

    Validated means better than no harmonization.
    """
    validation = model.card.validation
    if validation is None:
        return _unvalidated(model, "it was never cross-validated", "Run `group` to validate it.")
    if validation.method != method:
        return _unvalidated(
            model,
            f"it was validated with the method {validation.method}, not with {method}",
            "Apply the validated method, or train and validate again.",
        )
    result = validation.better_than.get(NO_HARMONIZATION)
    answer = result.answer if result else "no"
    if answer == "yes":
        return ()
    largest_p = result.largest_p if result else NOT_AVAILABLE
    return _unvalidated(
        model,
        f"not validated to be better than no harmonization ({answer}; p = {largest_p})",
        "Look at group.html, or run `group` on data with more travelling subjects.",
    )


def _unvalidated(model: Model, reason: str, remedy: str) -> tuple[Finding, ...]:
    return (Finding(severity="error", file=model.name, value=reason, remedy=remedy),)
