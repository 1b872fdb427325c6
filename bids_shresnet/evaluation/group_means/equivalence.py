"""Equivalence tests of the site bias of FA and MD."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import isnan

from bids_shresnet.evaluation.group_means.paired_means import PairedMeans
from bids_shresnet.evaluation.statistics import equivalence_p_value, student_interval
from bids_shresnet.evaluation.validation import ALPHA
from bids_shresnet.outputs.model.validation import Answer, Equivalence

# Largest site bias that is called equivalent, fixed before any result is known: less than half of
# the standard deviation between healthy subjects, which is about 5 % for the mean FA of a region
EQUIVALENCE_MARGINS: Mapping[str, float] = {"FA": 0.02, "MD": 0.015}
INTERVAL_LEVEL = 1 - 2 * ALPHA  # of the interval that lies within the margin if p <= alpha


def assess_equivalence(pairs: Iterable[PairedMeans]) -> tuple[Equivalence, ...]:
    """Test the site bias of FA and MD in each region (two one-sided t-tests, Schuirmann 1987).

    p is not adjusted: a statement about all of several regions needs each of them to pass
    (intersection-union test, Berger 1982), and so no adjustment.
    """
    return tuple(_assess_region(item) for item in pairs)


def _assess_region(pairs: PairedMeans) -> Equivalence:
    biases = pairs.biases
    margin = EQUIVALENCE_MARGINS[pairs.region.quantity]
    p = equivalence_p_value(biases, margin)
    is_known = not isnan(p)
    return Equivalence(
        method=pairs.region.method,
        region=pairs.region.name,
        quantity=pairs.region.quantity,
        subjects=len(biases),
        bias=float(biases.mean()),
        interval=student_interval(biases, INTERVAL_LEVEL) if is_known else None,
        margin=margin,
        p=p if is_known else None,
        answer=_answer(p),
    )


def _answer(p: float) -> Answer:
    if isnan(p):
        return "not enough subjects"
    return "yes" if p <= ALPHA else "no"
