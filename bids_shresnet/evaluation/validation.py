"""Validation of a method against its baselines."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2

from bids_shresnet.errors import Finding
from bids_shresnet.evaluation.comparison import Comparison
from bids_shresnet.evaluation.statistics import adjust_p_values
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.outputs.model.validation import Answer
from bids_shresnet.settings import NO_HARMONIZATION, Method

ALPHA = 0.05
UNVALIDATED_REMEDY = "Look at group.html, or run `group` on data with more travelling subjects."
# What is claimed is an improvement over both, tested in this order: removing noise lowers the error
# to a noisy measurement, too, where there is nothing to harmonize
CLAIM_BASELINES: Mapping[str, str] = {
    NO_HARMONIZATION: "no harmonization",
    "denoised": "denoising only",
}
CARD_BASELINES = (*CLAIM_BASELINES, "linear_rish", "patch_linear")  # answered in model.json


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
    comparisons: Iterable[Comparison],
    claim: Iterable[str] = tuple(CLAIM_BASELINES),
    alpha: float = ALPHA,
) -> tuple[ValidationResult, ...]:
    """Test against every baseline so that the chance of any false "yes" is at most alpha.

    The baselines of the claim come first. Each has the full alpha, and is answered "yes" only if
    all before it are (fixed sequence, Maurer et al. 1995). The others are answered "yes" only if
    the whole claim is, with Holm's adjustment among them. This holds only if the claim was chosen
    before the results were known.
    """
    table = tuple(comparisons)
    baselines = dict.fromkeys(comparison.baseline for comparison in table)
    results = {baseline: validate_against(table, baseline, alpha) for baseline in baselines}
    claimed = [results.pop(baseline) for baseline in claim if baseline in results]
    answered: list[ValidationResult] = []
    for result in [*claimed, *_adjust_for_number(list(results.values()))]:
        before = answered[: len(claimed)]
        can_pass = all(item.answer == "yes" for item in before)
        answered.append(_answer(result, alpha, can_pass=can_pass))
    return tuple(answered)


def answer_claim(answers: Mapping[str, Answer]) -> Answer:
    """Answer whether the method is better than all baselines of the claim; "no" if one is missing.

    `answers` are those of `validate_against_all` by baseline.
    """
    given = [answers.get(baseline, "no") for baseline in CLAIM_BASELINES]
    if "not enough subjects" in given:
        return "not enough subjects"
    return "yes" if set(given) == {"yes"} else "no"


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

    Validated means better than no harmonization, and than denoising only.
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
    for baseline, name in CLAIM_BASELINES.items():
        result = validation.better_than.get(baseline)
        if result is None:
            value = f"it was not compared with {name}"
            return _unvalidated(model, value, f"Run `group` again, with the method `{baseline}`.")
        if result.answer != "yes":
            reason = f"{result.answer}; p = {result.largest_p}"
            value = f"not validated to be better than {name} ({reason})"
            return _unvalidated(model, value, UNVALIDATED_REMEDY)
    return ()


def _unvalidated(model: Model, reason: str, remedy: str) -> tuple[Finding, ...]:
    return (Finding(severity="error", file=model.name, value=reason, remedy=remedy),)
