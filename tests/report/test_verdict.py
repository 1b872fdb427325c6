from __future__ import annotations

from dataclasses import replace

import pytest

from bids_shresnet.outputs.model.validation import Answer
from bids_shresnet.report.verdict import VerdictRow, pair_answer, verdict_rows, worst_answer
from tests.report.test_group_page import page, pair_report

MINUS = "\N{MINUS SIGN}"


def rows_by_statement(**changes: object) -> dict[str, VerdictRow]:
    return {row.statement: row for row in verdict_rows(pair_report(6, **changes))}  # type: ignore[arg-type]


def test_each_statement_has_its_subjects_effect_p_and_answer() -> None:
    rows = rows_by_statement()
    assert list(rows) == [
        "Lower error than no harmonization",
        "Lower error than denoising only",
        "Site bias of FA within ±2 %",
        "Site bias of MD within ±1.5 %",
        "Differences between subjects kept",
        "Error as low as that of a second scan on the target",
    ]
    assert {row.n for row in rows.values()} == {6}
    assert [row.label for row in rows.values()] == [
        "validated",
        "validated",
        "equivalent",
        "equivalent",
        "described, not tested",
        "described, not tested",
    ]


def test_the_p_and_the_answer_are_those_of_the_weakest_test() -> None:
    pair = pair_report(6)
    rows = {row.statement: row for row in verdict_rows(pair)}
    of_input = [c for c in pair.comparisons if c.baseline == "no_harmonization"]
    assert rows["Lower error than no harmonization"].p == max(c.p for c in of_input)
    tests = tuple(
        replace(test, p=0.2, answer="no")
        if (test.method, test.region, test.quantity) == ("shresnet", "GM", "MD")
        else test
        for test in pair.equivalences
    )
    changed = rows_by_statement(equivalences=tests)
    assert changed["Site bias of FA within ±2 %"].answer == "yes"
    md = changed["Site bias of MD within ±1.5 %"]
    assert (md.p, md.answer, md.label) == (0.2, "no", "equivalence not shown")


def test_effects_are_the_least_and_the_largest_change_of_the_error() -> None:
    pair = pair_report(6)
    changes = [-c.decrease for c in pair.comparisons if c.baseline == "denoised"]
    count, least, most = rows_by_statement()["Lower error than denoising only"].effects
    assert count == "lower in 6 of 6 tissues and quantities"
    assert f" {100 * max(changes):.1f} %".replace("-", MINUS) in least
    assert f" {100 * min(changes):.1f} %".replace("-", MINUS) in most


def test_biases_lead_from_the_input_to_the_harmonized_scans() -> None:
    fa = rows_by_statement()["Site bias of FA within ±2 %"]
    assert fa.effects == (
        "white matter +4.0 % → +1.0 % (+1.0 to +1.0 %)",
        "grey matter +4.0 % → +1.0 % (+1.0 to +1.0 %)",
    )


def test_a_comparison_that_was_not_made_is_no_validation() -> None:
    pair = pair_report(6)
    comparisons = tuple(c for c in pair.comparisons if c.baseline != "denoised")
    row = rows_by_statement(comparisons=comparisons)["Lower error than denoising only"]
    assert (row.n, row.p, row.answer, row.label) == (None, None, "no", "not compared")
    assert pair_answer(pair) == "yes"
    assert pair_answer(replace(pair, comparisons=comparisons)) == "no"


def test_two_subjects_give_a_verdict_without_intervals() -> None:
    rows = verdict_rows(pair_report(2))
    assert [row.label for row in rows[:4]] == ["too few subjects"] * 4
    assert [row.p for row in rows[2:]] == [None, None, None]
    assert "n/a" in rows[2].effects[0]


@pytest.mark.parametrize(
    ("answers", "worst"),
    [
        (["yes", "yes"], "yes"),
        (["yes", "no"], "no"),
        (["no", "not enough subjects"], "not enough subjects"),
    ],
)
def test_a_statement_about_several_holds_only_if_each_does(
    answers: list[Answer], worst: str
) -> None:
    assert worst_answer(answers) == worst


@pytest.mark.slow
def test_the_page_shows_the_verdict_of_each_pair() -> None:
    text = " ".join(page(pair_report(6), pair_report(8, method_error=0.05)).text.split())
    assert text.count("Lower error than denoising only") == 2
    assert "white matter +4.0 % → +5.0 % (+5.0 to +5.0 %)" in text
    assert "equivalence not shown" in text
