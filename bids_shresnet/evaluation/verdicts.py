"""Whether a method is proven better than another, and what stands in the way where it is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import ceil, log2
from typing import Literal

from bids_shresnet.errors import Finding
from bids_shresnet.evaluation.statistics import Comparison, holm
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.settings import NOTHING, Method


def doubts(model: Model, method: Method) -> tuple[Finding, ...]:
    """Why to think twice before applying a model so; nothing where it is proven better than doing nothing."""
    if not model.proof:
        return (Finding("error", model.name, "it was never cross-validated", "Run `group` to see whether it helps."),)
    if model.proof["Method"] != method:
        value = f"the proof is that of {model.proof['Method']}, not of {method}"
        return (Finding("error", model.name, value, "Apply the method that was proven, or train and prove anew."),)
    found = model.proof["BetterThan"].get(NOTHING, {"Answer": "no"})
    if found["Answer"] == "yes":
        return ()
    value = f"not proven to be better than doing nothing ({found['Answer']}; p = {found.get('LargestP', 'n/a')})"
    remedy = "Look at group.html, or run `group` on data with more travelling subjects."
    return (Finding("error", model.name, value, remedy),)


ALPHA = 0.05
FOR_THE_CARD = (NOTHING, "linear_rish", "patch_linear")  # what model.json gives a verdict against
Answer = Literal["yes", "no", "not enough subjects"]


@dataclass(frozen=True)
class Verdict:
    """Whether the method is better than the reference.

    Attributes
    ----------
    answer
        "no" means not proven; it does not mean that the methods are alike.
    n
        Fewest subjects of any of the comparisons.
    p
        Largest p of the comparisons; adjusted by Holm where it is one of several verdicts.
    p_floor
        The smallest p that so few subjects, and so many verdicts, can give.
    better, judged
        Comparisons with a lower error, and all of them.
    weakest
        The comparison that stands most in the way: one that is not better, else the one with the largest p.
    """

    reference: str
    answer: Answer
    n: int
    p: float
    p_floor: float
    better: int
    judged: int
    weakest: Comparison


def verdict(comparisons: Iterable[Comparison], reference: str, alpha: float = ALPHA) -> Verdict:
    """Judge one claim: the method is better than the reference in every tissue and quantity that both have.

    "Yes" needs in each of them a lower error, on average and in most subjects, and p <= alpha. Because *all* have to
    pass, the largest p is a valid p of the whole claim as it is: adjusting for the number of tissues and quantities is
    needed to claim *any* of them (`Comparison.p_holm`), and here would only make a true claim harder to prove
    (intersection-union test, Berger 1982). A second claim, about another reference, is a second chance to be wrong:
    `verdicts` takes care of several.

    Raises
    ------
    ValueError
        If nothing is compared with the reference.
    """
    judged = [comparison for comparison in comparisons if comparison.reference == reference]
    if not judged:
        msg = f"nothing is compared with {reference!r}"
        raise ValueError(msg)
    floor, p = max(comparison.p_floor for comparison in judged), max(comparison.p for comparison in judged)
    better = sum(comparison.better for comparison in judged)
    answer = _answer(all_better=better == len(judged), p=p, floor=floor, alpha=alpha)
    weakest = max(judged, key=_in_the_way)
    return Verdict(reference, answer, min(c.n for c in judged), p, floor, better, len(judged), weakest)


def verdicts(comparisons: Iterable[Comparison], primary: str = NOTHING, alpha: float = ALPHA) -> tuple[Verdict, ...]:
    """Judge every reference, the primary one first and at full alpha, so that the chance of any false "yes" is alpha.

    Harmonizing has to be better than doing nothing before it is worth asking what else it is better than: the others
    are answered "yes" only if the primary one is, with Holm's adjustment among them. Who names the primary reference
    after looking at the results loses this guarantee.
    """
    table = tuple(comparisons)
    references = dict.fromkeys(comparison.reference for comparison in table)
    first = [verdict(table, name, alpha) for name in references if name == primary]
    others = [verdict(table, name, alpha) for name in references if name != primary]
    adjusted = [replace(one, p=p) for one, p in zip(others, holm([one.p for one in others]), strict=True)]
    opened = all(one.answer == "yes" for one in first)
    return (*first, *(_among(adjusted, one, opened=opened, alpha=alpha) for one in adjusted))


def subjects_needed(alpha: float = ALPHA, verdicts: int = 1) -> int:
    """Fewest subjects whose smallest p, times the number of verdicts, is not above alpha."""
    return 1 + ceil(log2(verdicts / alpha))


def _among(all_of_them: Sequence[Verdict], one: Verdict, *, opened: bool, alpha: float) -> Verdict:
    """One of several verdicts, whose p is adjusted already; Holm's first step multiplies by their number."""
    floor = min(1.0, one.p_floor * len(all_of_them))
    answer = _answer(all_better=one.better == one.judged and opened, p=one.p, floor=floor, alpha=alpha)
    return replace(one, p_floor=floor, answer=answer)


def _answer(*, all_better: bool, p: float, floor: float, alpha: float) -> Answer:
    if floor > alpha:
        return "not enough subjects"
    return "yes" if all_better and p <= alpha else "no"


def _in_the_way(comparison: Comparison) -> tuple[bool, float]:
    return (not comparison.better, comparison.p)
