"""The verdict of a pair: what was tested on held-out subjects, and whether it was shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bids_shresnet.evaluation.comparison import Comparison
from bids_shresnet.evaluation.group_means.equivalence import EQUIVALENCE_MARGINS
from bids_shresnet.evaluation.validation import CLAIM_BASELINES, ValidationResult, answer_claim
from bids_shresnet.io.storage import NOT_AVAILABLE
from bids_shresnet.outputs.model.validation import Answer, Equivalence
from bids_shresnet.report.group_content import PairReport
from bids_shresnet.report.page import format_interval, format_percent, format_range
from bids_shresnet.report.style import endpoint_title, tissue_name
from bids_shresnet.settings import NO_HARMONIZATION

ANSWER_LABELS = {
    "yes": "validated",
    "no": "not validated",
    "not enough subjects": "too few subjects",
}
EQUIVALENCE_LABELS = ANSWER_LABELS | {"yes": "equivalent", "no": "equivalence not shown"}
NOT_COMPARED = "not compared"
NOT_TESTED = "described, not tested"


@dataclass(frozen=True)
class VerdictRow:
    """One statement and its evidence.

    Attributes
    ----------
    n
        Held-out subjects; None if nothing was compared.
    effects
        Size of the effect with its interval, one text per line.
    p
        Largest p of all tests that the statement needs; None where there is no test.
    answer, label
        Result of the test, and its words; answer is None where there is no test.
    """

    statement: str
    n: int | None
    effects: tuple[str, ...]
    p: float | None
    answer: Answer | None
    label: str


def verdict_rows(pair: PairReport) -> list[VerdictRow]:
    """List what is claimed, then equivalence of FA and MD, then what is described only."""
    tested = [*_claim_rows(pair), *_equivalence_rows(pair)]
    return [*tested, *_preservation_rows(pair), *_excess_rows(pair)]


def pair_answer(pair: PairReport) -> Answer:
    """Return the answer of the whole claim."""
    answers = {result.baseline: result.answer for result in pair.validation_results}
    return answer_claim(answers)


def worst_answer(answers: Sequence[Answer]) -> Answer:
    """Return "yes" only if all answers are."""
    order: tuple[Answer, ...] = ("not enough subjects", "no")
    return next((answer for answer in order if answer in answers), "yes")


def _claim_rows(pair: PairReport) -> Iterator[VerdictRow]:
    results = {result.baseline: result for result in pair.validation_results}
    for baseline, name in CLAIM_BASELINES.items():
        statement = f"Lower error than {name}"
        result = results.get(baseline)
        if result is None:
            yield VerdictRow(statement, None, (), None, "no", NOT_COMPARED)
        else:
            comparisons = [item for item in pair.method_comparisons if item.baseline == baseline]
            yield _claim_row(statement, result, comparisons)


def _claim_row(
    statement: str, result: ValidationResult, comparisons: Sequence[Comparison]
) -> VerdictRow:
    by_decrease = sorted(comparisons, key=lambda comparison: comparison.decrease)
    return VerdictRow(
        statement,
        n=result.n,
        effects=(
            f"lower in {result.better_count} of {result.comparison_count} tissues and quantities",
            f"least: {_describe_change(by_decrease[0])}",
            f"most: {_describe_change(by_decrease[-1])}",
        ),
        p=result.p,
        answer=result.answer,
        label=ANSWER_LABELS[result.answer],
    )


def _describe_change(comparison: Comparison) -> str:
    """Write the change of the error, with its interval."""
    low, high = comparison.interval
    change = format_percent(-comparison.decrease)
    endpoint = endpoint_title(comparison.quantity, comparison.tissue)
    return f"{endpoint} {change} ({format_interval((-high, -low))})"


def _equivalence_rows(pair: PairReport) -> Iterator[VerdictRow]:
    for quantity, margin in EQUIVALENCE_MARGINS.items():
        tests = _select(pair, pair.method, quantity)
        if tests:
            answer = worst_answer([test.answer for test in tests])
            before = _select(pair, NO_HARMONIZATION, quantity)
            p_values = [test.p for test in tests if test.p is not None]
            yield VerdictRow(
                f"Site bias of {quantity} within ±{100 * margin:g} %",
                n=min(test.subjects for test in tests),
                effects=tuple(_describe_biases(tests, before)),
                p=max(p_values) if p_values else None,
                answer=answer,
                label=EQUIVALENCE_LABELS[answer],
            )


def _select(pair: PairReport, method: str, quantity: str) -> list[Equivalence]:
    tests = [item for item in pair.equivalences if item.quantity == quantity]
    return [item for item in tests if item.method == method]


def _describe_biases(tests: Sequence[Equivalence], before: Sequence[Equivalence]) -> Iterator[str]:
    """Write the bias before and after harmonization, with its 90 % interval."""
    inputs = {test.region: format_percent(test.bias) for test in before}
    for test in tests:
        interval = format_interval(test.interval) if test.interval else NOT_AVAILABLE
        start = inputs.get(test.region, NOT_AVAILABLE)
        yield f"{tissue_name(test.region)} {start} → {format_percent(test.bias)} ({interval})"


def _preservation_rows(pair: PairReport) -> Iterator[VerdictRow]:
    records = [item for item in pair.preservations if item.method == pair.method]
    if records:
        yield VerdictRow(
            "Differences between subjects kept",
            n=min(record.subjects for record in records),
            effects=(
                "over tissues and maps:",
                f"slope {format_range([record.slope for record in records])} (1 keeps them)",
                f"ICC(2,1) {format_range([record.icc for record in records])}",
            ),
            p=None,
            answer=None,
            label=NOT_TESTED,
        )


def _excess_rows(pair: PairReport) -> Iterator[VerdictRow]:
    rows = pair.excess_errors
    if rows:
        shares = sorted(row.removed for row in rows)
        yield VerdictRow(
            "Error as low as that of a second scan on the target",
            n=min(row.n for row in rows),
            effects=(
                "excess over the scan-rescan error removed:",
                f"{100 * shares[0]:.0f} to {100 * shares[-1]:.0f} %",
            ),
            p=None,
            answer=None,
            label=NOT_TESTED,
        )
