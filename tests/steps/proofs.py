"""Results of cross-validations as the tests of this room need them."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from bids_shresnet.statistics import QUANTITIES, TISSUES, HeldOut
from bids_shresnet.steps.prove import Evidence
from tests.datasets import write_tree
from tests.models import constant_model


def held_out(errors: dict[str, float], count: int, *, worse: int = 0) -> tuple[HeldOut, ...]:
    """Rows of `count` subjects whose NMSE is about the method's; the first `worse` of them do best without."""
    return tuple(
        HeldOut(
            f"{k:02d}",
            k % 3 + 1,
            method,
            tissue,
            quantity,
            (1 + k / 100) * (1 - error if k < worse else error),  # no two differences are alike: ties take seconds
            error / 2,
        )
        for (method, error), tissue, quantity, k in product(errors.items(), TISSUES, QUANTITIES, range(count))
    )


def evidence(folder: Path, count: int, *, worse: int = 0, **changes: object) -> Evidence:
    """A model that leaves a tenth where nothing leaves half of all."""
    rows = held_out({"nothing": 0.5, "order_gain": 0.3, "shresnet": 0.1}, count, worse=worse)
    orientations = tuple(
        {"subject": f"{k:02d}", "fold": k % 3 + 1, "method": method, "angle": angle, "correlation": 0.5}
        for (method, angle), k in product({"nothing": 20.0, "shresnet": 10.0}.items(), range(count))
    )
    model = constant_model(folder / "model", write_tree(folder / "bids", {}), **changes)
    return Evidence(model, "shresnet", rows, orientations)
