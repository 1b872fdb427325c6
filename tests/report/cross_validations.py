"""Results of cross-validations as the tests of this room need them."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bids_shresnet.evaluation.agreement import HISTOGRAM_BINS, Agreement, Histograms, RishPower
from bids_shresnet.evaluation.cross_validation import CrossValidation
from bids_shresnet.evaluation.statistics import QUANTITIES, TISSUES, HeldOutResult
from tests.datasets import write_tree
from tests.models import constant_model


def held_out(errors: dict[str, float], count: int, *, worse: int = 0) -> tuple[HeldOutResult, ...]:
    """Rows of `count` subjects whose NMSE is about the method's; the first `worse` of them do best without."""
    return tuple(
        HeldOutResult(
            f"{k:02d}",
            k % 3 + 1,
            method,
            tissue,
            quantity,
            (1 + k / 100)
            * (
                1 - error if k < worse else error
            ),  # no two differences are alike: ties take seconds
            error / 2,
        )
        for (method, error), tissue, quantity, k in product(
            errors.items(), TISSUES, QUANTITIES, range(count)
        )
    )


def cross_validation(
    folder: Path, count: int, *, worse: int = 0, **changes: object
) -> CrossValidation:
    """A model that leaves a tenth where nothing leaves half of all."""
    rows = held_out(
        {"no_harmonization": 0.5, "order_gain": 0.3, "shresnet": 0.1}, count, worse=worse
    )
    orientations = tuple(
        {
            "subject": f"{k:02d}",
            "fold": k % 3 + 1,
            "method": method,
            "angle": angle,
            "correlation": 0.5,
        }
        for (method, angle), k in product(
            {"no_harmonization": 20.0, "shresnet": 10.0}.items(), range(count)
        )
    )
    model = constant_model(folder / "model", write_tree(folder / "bids", {}), **changes)
    return CrossValidation(model, "shresnet", rows, orientations)


def agreement_results(count: int) -> dict[str, Any]:
    """How scans before and after lie to what was measured, of `count` subjects."""
    subjects = tuple(f"{k:02d}" for k in range(count))
    states = {"no_harmonization": 0.1, "shresnet": 0.01}
    return {
        "agreements": tuple(
            Agreement(subject, 1, method, tissue, quantity, 100, mean, 0.02)
            for subject, (method, mean), tissue, quantity in product(
                subjects, states.items(), TISSUES, QUANTITIES
            )
        ),
        "powers": tuple(
            RishPower(subject, 1, method, tissue, 1000.0, order, 0.1 / (1 + order))
            for subject, method, tissue, order in product(
                subjects, (*states, "target"), TISSUES, (0, 2)
            )
        ),
        "histograms": Histograms(
            np.ones((count, 2, 2, 3, HISTOGRAM_BINS, HISTOGRAM_BINS), np.uint32), subjects
        ),
    }
