"""Validation of a method against its baselines, and the reasons where it fails."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2

from bids_shresnet.errors import Finding
from bids_shresnet.evaluation.statistics import Comparison, adjust_p_values
from bids_shresnet.io.storage import NOT_AVAILABLE
from bids_shresnet.outputs.model_card import Answer
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.settings import NO_HARMONIZATION, Method


def unvalidated_reasons(model: Model, method: Method) -> tuple[Finding, ...]:
    """Return why a model is not validated with a method; empty if it is better than no harmonization."""
    validation = model.card.validation
    if validation is None:
        return (
            Finding(
                "error",
                model.name,
                "it was never cross-validated",
                "Run `group` to see whether it helps.",
            ),
        )
    if validation.method != method:
        value = f"it was validated with the method {validation.method}, not with {method}"
        return (
            Finding(
                "error",
                model.name,
                value,
                "Apply the validated method, or train and validate again.",
            ),
        )
    result = validation.better_than.get(NO_HARMONIZATION)
    answer = result.answer if result else "no"
    if answer == "yes":
        return ()
    largest_p = result.largest_p if result else NOT_AVAILABLE
    value = f"not validated to be better than no harmonization ({answer}; p = {largest_p})"
    remedy = "Look at group.html, or run `group` on data with more travelling subjects."
    return (Finding("error", model.name, value, remedy),)


ALPHA = 0.05
CARD_BASELINES = (
    NO_HARMONIZATION,
    "linear_rish",
    "patch_linear",
)  # what model.json gives a verdict against


@dataclass(frozen=True)
class ValidationResult:
    """Whether the method is better than the reference.

    Attributes
    ----------
    answer
        "no" means not proven; it does not mean that the methods are alike.
    n
        Fewest subjects of any of the comparisons.
    p
        Largest p of the comparisons; adjusted by Holm where it is one of several verdicts.
    p_floor
        The smallest p that so few subjects, and so many verdicts, can give.
    better_count, comparison_count
        Comparisons with a lower error, and all of them.
    weakest
        The comparison that stands most in the way: one that is not better, else the one with the largest p.
    """

    baseline: str
    answer: Answer
    n: int
    p: float
    p_floor: float
    better_count: int
    comparison_count: int
    weakest: Comparison


def validate_against(
    comparisons: Iterable[Comparison], baseline: str, alpha: float = ALPHA
) -> ValidationResult:
    """Judge one claim: the method is better than the reference in every tissue and quantity that both have.

    "Yes" needs in each of them a lower error, on average and in most subjects, and p <= alpha. Because *all* have to
    pass, the largest p is a valid p of the whole claim as it is: adjusting for the number of tissues and quantities is
    needed to claim *any* of them (`Comparison.p_holm`), and here would only make a true claim harder to prove
    (intersection-union test, Berger 1982). A second claim, about another reference, is a second chance to be wrong:
    `verdicts` takes care of several.

    Raises
    ------
    ValueError
        If nothing is compared with the reference.
    """
    judged = [comparison for comparison in comparisons if comparison.baseline == baseline]
    if not judged:
        msg = f"nothing is compared with {baseline!r}"
        raise ValueError(msg)
    floor, p = (
        max(comparison.p_floor for comparison in judged),
        max(comparison.p for comparison in judged),
    )
    better = sum(comparison.is_better for comparison in judged)
    answer = _answer(is_better_everywhere=better == len(judged), p=p, p_floor=floor, alpha=alpha)
    weakest = max(judged, key=_weakness)
    return ValidationResult(
        baseline, answer, min(c.n for c in judged), p, floor, better, len(judged), weakest
    )


def validate_against_all(
    comparisons: Iterable[Comparison], primary: str = NO_HARMONIZATION, alpha: float = ALPHA
) -> tuple[ValidationResult, ...]:
    """Judge every reference, the primary one first and at full alpha, so that the chance of any false "yes" is alpha.

    Harmonizing has to be better than doing nothing before it is worth asking what else it is better than: the others
    are answered "yes" only if the primary one is, with Holm's adjustment among them. Who names the primary reference
    after looking at the results loses this guarantee.
    """
    table = tuple(comparisons)
    references = dict.fromkeys(comparison.baseline for comparison in table)
    first = [validate_against(table, name, alpha) for name in references if name == primary]
    others = [validate_against(table, name, alpha) for name in references if name != primary]
    adjusted = [
        replace(one, p=p)
        for one, p in zip(others, adjust_p_values([one.p for one in others]), strict=True)
    ]
    opened = all(one.answer == "yes" for one in first)
    return (
        *first,
        *(
            _adjust_for_all(adjusted, one, is_primary_validated=opened, alpha=alpha)
            for one in adjusted
        ),
    )


def subjects_needed(alpha: float = ALPHA, baseline_count: int = 1) -> int:
    """Fewest subjects whose smallest p, times the number of verdicts, is not above alpha."""
    return 1 + ceil(log2(baseline_count / alpha))


def _adjust_for_all(
    results: Sequence[ValidationResult],
    result: ValidationResult,
    *,
    is_primary_validated: bool,
    alpha: float,
) -> ValidationResult:
    """One of several verdicts, whose p is adjusted already; Holm's first step multiplies by their number."""
    floor = min(1.0, result.p_floor * len(results))
    answer = _answer(
        is_better_everywhere=result.better_count == result.comparison_count
        and is_primary_validated,
        p=result.p,
        p_floor=floor,
        alpha=alpha,
    )
    return replace(result, p_floor=floor, answer=answer)


def _answer(*, is_better_everywhere: bool, p: float, p_floor: float, alpha: float) -> Answer:
    if p_floor > alpha:
        return "not enough subjects"
    return "yes" if is_better_everywhere and p <= alpha else "no"


def _weakness(comparison: Comparison) -> tuple[bool, float]:
    return (not comparison.is_better, comparison.p)
