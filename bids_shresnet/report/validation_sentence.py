"""The validation of a pair in a few sentences, for the top of the page and for the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bids_shresnet.evaluation.comparison import Comparison
from bids_shresnet.evaluation.validation import (
    CLAIM_BASELINES,
    ValidationResult,
    subjects_needed,
)
from bids_shresnet.report.group_content import PairReport
from bids_shresnet.report.page import format_p_value
from bids_shresnet.report.style import method_label, tissue_name
from bids_shresnet.settings import NO_HARMONIZATION


def validation_sentence(pair: PairReport) -> str:
    """State whether the claim is validated, on how many subjects, or what is missing."""
    results = {result.baseline: result for result in pair.validation_results}
    if NO_HARMONIZATION not in results:
        return (
            f"It is not known whether harmonizing helps: {method_label(pair.method)} was not "
            "compared with no harmonization on these data."
        )
    return " ".join(_sentences(pair, results))


def _sentences(pair: PairReport, results: dict[str, ValidationResult]) -> Iterator[str]:
    claimed = [results[baseline] for baseline in CLAIM_BASELINES if baseline in results]
    validated = [result for result in claimed if result.answer == "yes"]
    if validated:
        names = " and than ".join(CLAIM_BASELINES[result.baseline] for result in validated)
        yield _validated_sentences(pair, names, validated)
    if len(validated) < len(claimed):
        yield _failed_sentences(pair, claimed[len(validated)])
        return
    for baseline, name in CLAIM_BASELINES.items():
        if baseline not in results:
            yield (
                f"It was not compared with {name}, so the improvement may be due to less noise "
                "alone."
            )
    others = [result for result in results.values() if result.baseline not in CLAIM_BASELINES]
    yield from _other_baselines(others)


def _validated_sentences(pair: PairReport, names: str, results: Sequence[ValidationResult]) -> str:
    n = min(result.n for result in results)
    count = sum(result.comparison_count for result in results)
    p = format_p_value(max(result.p for result in results))
    return (
        f"It is validated that harmonizing with {method_label(pair.method)} is better than "
        f"{names}. On {_count_subjects(n)} the error is lower, on average and in most subjects, in "
        f"{count} of {count} comparisons, each with p ≤ {p}."
    )


def _failed_sentences(pair: PairReport, result: ValidationResult) -> str:
    name = CLAIM_BASELINES[result.baseline]
    statement = f"that harmonizing with {method_label(pair.method)} is better than {name}"
    subjects = f"On {_count_subjects(result.n)}"
    lower = (
        "the error is lower, on average and in most subjects, in "
        f"{result.better_count} of {result.comparison_count} comparisons"
    )
    if result.answer == "no":
        weakest = _describe_comparison(result.weakest)
        return (
            f"It is not validated {statement}. {subjects} {lower}; the weakest result is {weakest}."
        )
    floor = (
        f"no p below {format_p_value(result.p_floor)} is possible, whatever the data; "
        f"{subjects_needed()} are needed"
    )
    return (
        f"It cannot be validated {statement}. {subjects} {floor}. So far, {lower}, which may be "
        "chance."
    )


def _count_subjects(n: int) -> str:
    return f"{n} held-out {'subject' if n == 1 else 'subjects'}"


def _other_baselines(results: Sequence[ValidationResult]) -> Iterator[str]:
    """Name the other baselines that the method is better than, and those that it is not."""
    validated = [method_label(item.baseline) for item in results if item.answer == "yes"]
    rest = [method_label(item.baseline) for item in results if item.answer != "yes"]
    if validated:
        yield f"It is also validated to be better than: {'; '.join(validated)}."
    if rest:
        yield f"It is not validated to be better than: {'; '.join(rest)}."


def _describe_comparison(comparison: Comparison) -> str:
    """Describe the endpoint, and how much better or worse the method is."""
    direction = "lower" if comparison.decrease > 0 else "higher"
    change = f"{abs(100 * comparison.decrease):.1f} % {direction} on average"
    improved = round(comparison.improved_share * comparison.n)
    share = f"lower in {improved} of {comparison.n} subjects"
    endpoint = f"{comparison.quantity} in {tissue_name(comparison.tissue)}"
    return f"{endpoint} (error {change}, {share}, p = {format_p_value(comparison.p)})"
