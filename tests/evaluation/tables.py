"""Tables of held-out results, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from types import MappingProxyType

import numpy as np

from bids_shresnet.evaluation.results import QUANTITIES, TISSUES, HeldOutResult

MEAN_ERRORS: Mapping[str, float] = MappingProxyType(
    {"no_harmonization": 0.04, "order_gain": 0.03, "shresnet": 0.01}
)


def held_out_results(
    n: int, errors: Mapping[str, float] = MEAN_ERRORS, spread: float = 0.1
) -> list[HeldOutResult]:
    """Rows of n subjects at all endpoints, with these errors by method.

    A subject has one factor on the errors of all methods, and an independent one on each error.
    """
    rng = np.random.default_rng(1)
    factors = np.exp(rng.normal(0, 0.5, n))
    return [
        HeldOutResult(
            subject=f"{k:02d}",
            fold=k,
            method=method,
            tissue=tissue,
            quantity=quantity,
            places="all",
            nmse=factors[k] * errors[method] * rng.uniform(1 - spread, 1),
            bias=errors[method],
            mean=1 + errors[method],
            target_mean=1.0,
        )
        for method, tissue, quantity, k in product(errors, TISSUES, QUANTITIES, range(n))
    ]


def white_matter_fa(method: str, errors: list[float]) -> list[HeldOutResult]:
    """One row per error, each of another subject, for FA in white matter."""
    return [
        HeldOutResult(
            subject=f"{k}",
            fold=k,
            method=method,
            tissue="WM",
            quantity="FA",
            places="all",
            nmse=error,
            bias=0.0,
            mean=1.0,
            target_mean=1.0,
        )
        for k, error in enumerate(errors)
    ]
