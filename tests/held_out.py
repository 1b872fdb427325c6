"""What was found on held-out subjects, as the tests of several figures need it."""

from __future__ import annotations

from itertools import product

import numpy as np

from bids_shresnet.evaluation.agreement import HISTOGRAM_BINS, Agreement, Histograms, RishPower
from bids_shresnet.evaluation.statistics import QUANTITIES, TISSUES

METHODS = ("no_harmonization", "shresnet")
SUBJECTS = ("01", "02", "03")


def histograms() -> Histograms:
    counts = (
        np.random.default_rng(0)
        .integers(0, 50, (3, 2, 2, 3, HISTOGRAM_BINS, HISTOGRAM_BINS))
        .astype(np.uint32)
    )
    return Histograms(counts, SUBJECTS)


def agreements() -> list[Agreement]:
    """Before, a mean difference of 0.2, 0.3 and 0.4; after, a tenth."""
    return [
        Agreement(subject, 1, method, tissue, quantity, 100, (0.2 + 0.1 * k) * scale, 0.05 * scale)
        for (method, scale), tissue, quantity, (k, subject) in product(
            zip(METHODS, (1.0, 0.1), strict=True), TISSUES, QUANTITIES, enumerate(SUBJECTS)
        )
    ]


def powers() -> list[RishPower]:
    return [
        RishPower(subject, 1, method, tissue, 1000.0, order, 0.5 / (1 + order))
        for subject, method, tissue, order in product(
            SUBJECTS, (*METHODS, "target"), TISSUES, (0, 2)
        )
    ]
