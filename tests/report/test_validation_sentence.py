from __future__ import annotations

import re

import pytest

from bids_shresnet.report.group_content import PairReport
from bids_shresnet.report.validation_sentence import validation_sentence
from tests.report.test_group_page import page, pair_report


def without(baseline: str, n: int = 6) -> PairReport:
    pair = pair_report(n)
    comparisons = tuple(c for c in pair.comparisons if c.baseline != baseline)
    return pair_report(n, comparisons=comparisons)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pair", "answer", "words"),
    [
        (
            pair_report(5),
            "yes",
            "It is validated that .* no harmonization and than denoising only. .* 5 held-out "
            "subjects .* 12 of 12 comparisons, .* p ≤ 0.031",
        ),
        (
            pair_report(4),
            "not-enough-subjects",
            r"It cannot be validated .* 4 held-out subjects no p below 0\.06.* 5 are needed",
        ),
        (
            pair_report(1),
            "not-enough-subjects",
            "It cannot be validated .* 1 held-out subject no p below 0.50",
        ),
        (
            pair_report(8, method_error=0.05),
            "no",
            "^It is not validated .* no harmonization.* 0 of 6 comparisons; .* higher on average, "
            "lower in 0 of 8",
        ),
        (pair_report(comparisons=()), "no", "It is not known"),
    ],
)
def test_the_summary_says_what_is_validated_on_how_many_subjects_or_why_not(
    pair: PairReport, answer: str, words: str
) -> None:
    assert re.search(words, validation_sentence(pair))
    parsed = page(pair)
    assert validation_sentence(pair) in parsed.text
    assert ("div", {"class": f"answer-box {answer}"}) in parsed.elements


@pytest.mark.slow
def test_an_improvement_that_denoising_gives_as_well_is_not_the_whole_claim() -> None:
    comparisons = pair_report(8, method_error=0.0381).comparisons
    of_denoising = [c for c in comparisons if c.baseline == "denoised"]
    of_input = [c for c in pair_report(8).comparisons if c.baseline == "no_harmonization"]
    pair = pair_report(8, comparisons=(*of_input, *of_denoising))
    sentence = validation_sentence(pair)
    assert "It is validated that harmonizing with SHResNet is better than no harmoniz" in sentence
    assert "It is not validated that harmonizing with SHResNet is better than denoising" in sentence
    assert ("div", {"class": "answer-box no"}) in page(pair).elements


def test_a_claim_without_its_comparison_with_denoising_is_called_incomplete() -> None:
    sentence = validation_sentence(without("denoised"))
    assert "6 of 6 comparisons" in sentence
    assert "It was not compared with denoising only" in sentence


@pytest.mark.slow
def test_other_baselines_are_named_once_the_whole_claim_is_validated() -> None:
    better = validation_sentence(pair_report(6, method_error=0.001))
    assert "It is also validated to be better than: ComBat, tissue means (oracle)." in better
    worse = validation_sentence(pair_report(6, method_error=0.033))
    assert "It is not validated to be better than: ComBat, tissue means (oracle)." in worse
    assert "ComBat" not in validation_sentence(pair_report(4, method_error=0.001))
