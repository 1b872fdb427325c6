from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom, wilcoxon

from bids_shresnet.evaluation.comparison import Comparison, compare_methods
from bids_shresnet.evaluation.results import HeldOutResult
from bids_shresnet.evaluation.validation import (
    answer_claim,
    subjects_needed,
    validate_against,
    validate_against_all,
)
from bids_shresnet.outputs.model.validation import Answer
from tests.evaluation.tables import held_out_results, white_matter_fa

BASELINES = ("order_gain", "no_harmonization", "golkov")


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers do not depend on intervals."""
    monkeypatch.setattr("bids_shresnet.evaluation.statistics.BOOTSTRAP_RESAMPLES", 9)


def compare_with_no_harmonization(rows: list[HeldOutResult]) -> tuple[Comparison, ...]:
    return compare_methods(rows, "shresnet", ["no_harmonization"])


def answers(comparisons: tuple[Comparison, ...]) -> dict[str, str]:
    return {result.baseline: result.answer for result in validate_against_all(comparisons)}


@pytest.mark.parametrize(
    ("n", "answer"),
    [(1, "not enough subjects"), (4, "not enough subjects"), (5, "yes"), (10, "yes")],
)
def test_five_subjects_can_validate_a_method_and_four_cannot(n: int, answer: str) -> None:
    comparisons = compare_with_no_harmonization(held_out_results(n))
    result = validate_against(comparisons, "no_harmonization")
    assert (result.answer, result.n) == (answer, n)
    assert (result.better_count, result.comparison_count) == (6, 6)
    assert result.p == pytest.approx(1 / 2**n)
    assert (n >= subjects_needed()) == (answer == "yes")


def test_one_endpoint_that_is_not_better_gives_no_and_is_the_weakest() -> None:
    rows = [
        replace(row, nmse=0.08 + 0.001 * row.fold)
        if (row.method, row.tissue, row.quantity) == ("shresnet", "GM", "FA")
        else row
        for row in held_out_results(10)
    ]
    result = validate_against(compare_with_no_harmonization(rows), "no_harmonization")
    assert (result.answer, result.better_count) == ("no", 5)
    assert (result.weakest.tissue, result.weakest.quantity) == ("GM", "FA")


def test_one_endpoint_whose_lower_error_may_be_chance_gives_no_and_its_p() -> None:
    """It is lower in six of ten subjects and on average, and far lower at the other endpoints."""
    differences = np.array([-0.35, -0.3, -0.25, -0.2, -0.12, -0.1, 0.05, 0.11, 0.15, 0.22])
    others = [row for row in held_out_results(10) if (row.tissue, row.quantity) != ("WM", "FA")]
    baseline = white_matter_fa("no_harmonization", [0.5] * 10)
    method = white_matter_fa("shresnet", (0.5 + differences).tolist())
    comparisons = compare_with_no_harmonization([*others, *baseline, *method])
    result = validate_against(comparisons, "no_harmonization")
    assert (result.answer, result.better_count) == ("no", 6)
    assert (result.weakest.tissue, result.weakest.quantity) == ("WM", "FA")
    assert result.p == pytest.approx(wilcoxon(differences, alternative="less").pvalue)


def test_a_lower_mean_alone_does_not_validate() -> None:
    baseline = white_matter_fa("no_harmonization", [0.01] * 9 + [1.0])
    method = white_matter_fa("shresnet", [0.011 + k * 1e-4 for k in range(9)] + [0.1])
    comparisons = compare_with_no_harmonization(baseline + method)
    assert validate_against(comparisons, "no_harmonization", alpha=1.0).answer == "no"


@pytest.mark.slow
def test_equal_methods_are_called_better_no_more_often_than_alpha() -> None:
    """One endpoint only: with six, a false "yes" would be rarer still."""
    rng = np.random.default_rng(5)
    false_answers = 0
    for _ in range(200):
        rows = []
        for method in ("no_harmonization", "golkov", "shresnet"):
            rows += white_matter_fa(method, rng.lognormal(0, 0.5, 8).tolist())
        table = compare_methods(rows, "shresnet", ["no_harmonization", "golkov"])
        false_answers += "yes" in answers(table).values()
    assert false_answers <= binom.ppf(0.99, 200, 0.05)  # one in a hundred has more by chance


def test_the_primary_baseline_has_the_full_alpha_and_the_others_share_it() -> None:
    errors = {"shresnet": 0.01, **dict.fromkeys(BASELINES, 0.04)}
    five = compare_methods(held_out_results(5, errors), "shresnet", BASELINES)
    assert list(answers(five).items()) == [
        ("no_harmonization", "yes"),
        ("order_gain", "not enough subjects"),
        ("golkov", "not enough subjects"),
    ]
    six = compare_methods(held_out_results(6, errors), "shresnet", BASELINES)
    assert set(answers(six).values()) == {"yes"}
    assert subjects_needed(baseline_count=2) == 6


def test_denoising_is_compared_with_next_and_has_the_full_alpha() -> None:
    errors = {"no_harmonization": 0.04, "denoised": 0.03, "golkov": 0.04, "shresnet": 0.01}
    five = compare_methods(held_out_results(5, errors), "shresnet", [*errors][:3])
    assert list(answers(five).items()) == [
        ("no_harmonization", "yes"),
        ("denoised", "yes"),
        ("golkov", "yes"),
    ]
    two_others = {"order_gain": 0.04, **errors}
    five = compare_methods(held_out_results(5, two_others), "shresnet", [*two_others][:4])
    assert answers(five)["denoised"] == "yes"
    assert answers(five)["golkov"] == "not enough subjects"


def test_no_other_baseline_counts_if_denoising_is_as_good() -> None:
    errors = {"no_harmonization": 0.04, "denoised": 0.009, "golkov": 0.04, "shresnet": 0.01}
    table = compare_methods(held_out_results(10, errors), "shresnet", [*errors][:3])
    assert answers(table) == {"no_harmonization": "yes", "denoised": "no", "golkov": "no"}


@pytest.mark.parametrize(
    ("of_input", "of_denoising", "claim"),
    [
        ("yes", "yes", "yes"),
        ("yes", "no", "no"),
        ("yes", None, "no"),
        ("no", "yes", "no"),
        ("not enough subjects", None, "not enough subjects"),
        (None, None, "no"),
    ],
)
def test_the_claim_holds_only_against_both_no_harmonization_and_denoising(
    of_input: Answer | None, of_denoising: Answer | None, claim: Answer
) -> None:
    given = {"no_harmonization": of_input, "denoised": of_denoising}
    results = {baseline: answer for baseline, answer in given.items() if answer}
    assert answer_claim(results) == claim


def test_no_baseline_counts_if_the_method_is_not_better_than_no_harmonization() -> None:
    errors = {"no_harmonization": 0.005, "golkov": 0.04, "shresnet": 0.01}
    rows = held_out_results(10, errors)
    table = compare_methods(rows, "shresnet", ["no_harmonization", "golkov"])
    assert answers(table) == {"no_harmonization": "no", "golkov": "no"}


def test_a_baseline_without_comparison_is_refused() -> None:
    comparisons = compare_with_no_harmonization(held_out_results(6))
    with pytest.raises(ValueError, match="golkov"):
        validate_against(comparisons, "golkov")
