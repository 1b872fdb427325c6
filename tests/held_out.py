"""Results on held-out subjects, for tests of the evaluation and of figures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from bids_shresnet.evaluation.agreement import Agreement
from bids_shresnet.evaluation.effects.rows import EffectRow
from bids_shresnet.evaluation.histograms import HISTOGRAM_BINS, Histograms
from bids_shresnet.evaluation.results import QUANTITIES, TISSUES
from bids_shresnet.evaluation.rish_power import TARGET_MEASUREMENT, RishPower

METHODS = ("no_harmonization", "shresnet")
SUBJECTS = ("01", "02", "03")
SCALES = {"no_harmonization": 1.0, "shresnet": 0.1}  # of the differences from the target


def histograms(subjects: Sequence[str] = SUBJECTS) -> Histograms:
    """Random counts."""
    shape = (len(subjects), len(METHODS), len(TISSUES), len(QUANTITIES))
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 50, (*shape, HISTOGRAM_BINS, HISTOGRAM_BINS))
    return Histograms(counts.astype(np.uint32), tuple(subjects))


def agreements(subjects: Sequence[str] = SUBJECTS) -> list[Agreement]:
    """Mean differences of 0.2, 0.3, 0.4, ... before harmonization, and a tenth after."""
    return [
        Agreement(
            subject=subject,
            fold=1,
            method=method,
            tissue=tissue,
            quantity=quantity,
            value_count=100,
            mean=(0.2 + 0.1 * index) * SCALES[method],
            deviation=0.05 * SCALES[method],
        )
        for method, tissue, quantity, (index, subject) in product(
            METHODS, TISSUES, QUANTITIES, enumerate(subjects)
        )
    ]


def powers(subjects: Sequence[str] = SUBJECTS) -> list[RishPower]:
    """Powers of orders 0 and 2 at b = 1000."""
    return [
        RishPower(
            subject=subject,
            fold=1,
            method=method,
            tissue=tissue,
            bvalue=1000.0,
            order=order,
            power=0.5 / (1 + order),
        )
        for subject, method, tissue, order in product(
            subjects, (*METHODS, TARGET_MEASUREMENT), TISSUES, (0, 2)
        )
    ]


def effects(subjects: Sequence[str] = SUBJECTS) -> list[EffectRow]:
    """FA 5 % lower in a tract, of which 90, 91, 92, ... % are found; beside it 1 % change."""
    return [
        EffectRow(
            subject=subject,
            fold=1,
            method="shresnet",
            tissue="WM",
            quantity="FA",
            effect="tract",
            maps="comparable",
            region=region,
            voxels=100,
            put_in=put_in,
            found=put_in * (0.9 + 0.01 * index),
            beyond_noise=beyond_noise,
        )
        for (index, subject), (region, put_in, beyond_noise) in product(
            enumerate(subjects), (("changed", -0.05, 0.6), ("unchanged", 0.0, 0.01))
        )
    ]
