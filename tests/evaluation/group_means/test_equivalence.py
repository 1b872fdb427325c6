from __future__ import annotations

import numpy as np
import pytest

from bids_shresnet.evaluation.group_means.equivalence import EQUIVALENCE_MARGINS, assess_equivalence
from bids_shresnet.evaluation.group_means.paired_means import PairedMeans, Region
from bids_shresnet.evaluation.statistics import equivalence_p_value
from bids_shresnet.outputs.model.validation import Equivalence

TARGET_MEANS = np.array([0.44, 0.46, 0.41, 0.45, 0.43, 0.47])
NOISE = np.array([0.004, -0.003, 0.001, -0.002, -0.004, 0.004])  # of the bias; its mean is zero


def assess(bias: float, quantity: str = "FA", *, n: int = 6) -> Equivalence:
    means = (1 + bias + NOISE[:n]) * TARGET_MEANS[:n]
    pairs = PairedMeans(Region("shresnet", "GM", quantity), means, TARGET_MEANS[:n])
    (result,) = assess_equivalence([pairs])
    return result


@pytest.mark.parametrize(
    ("bias", "quantity", "answer"),
    [
        (0.0, "FA", "yes"),
        (-0.0165, "FA", "yes"),
        (-0.0165, "MD", "no"),
        (0.019, "FA", "no"),
        (0.03, "FA", "no"),
    ],
)
def test_a_bias_is_equivalent_where_it_is_surely_within_its_margin(
    bias: float, quantity: str, answer: str
) -> None:
    result = assess(bias, quantity)
    assert result.answer == answer
    assert result.bias == pytest.approx(bias)
    assert result.margin == EQUIVALENCE_MARGINS[quantity]
    assert result.interval is not None
    is_within = max(map(abs, result.interval)) <= result.margin
    assert is_within == (answer == "yes")


def test_p_is_that_of_the_relative_differences_of_subjects() -> None:
    expected = equivalence_p_value(0.01 + NOISE, EQUIVALENCE_MARGINS["FA"])
    assert assess(0.01).p == pytest.approx(expected)


def test_two_subjects_cannot_show_equivalence() -> None:
    result = assess(0.0, n=2)
    assert (result.answer, result.p, result.interval) == ("not enough subjects", None, None)
    assert (result.method, result.region, result.subjects) == ("shresnet", "GM", 2)
