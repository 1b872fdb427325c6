from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bids_shresnet.evaluation.results import HeldOutResult

RESULT = HeldOutResult(
    subject="01",
    fold=1,
    method="golkov",
    tissue="WM",
    quantity="FA",
    places="all",
    nmse=0.1,
    bias=-0.2,
    mean=0.4,
    target_mean=0.5,
)


@pytest.mark.parametrize(
    "changes",
    [
        {"tissue": "CSF"},
        {"quantity": "fa"},
        {"places": "edge"},
        {"nmse": float("nan")},
        {"mean": float("inf")},
        {"nmse": -1.0},
    ],
)
def test_a_row_that_would_distort_a_mean_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected a tissue"):
        replace(RESULT, **changes)


def test_the_error_of_a_mean_is_the_squared_bias() -> None:
    assert RESULT.squared_bias == pytest.approx(0.04)
