"""The report on a group: one HTML file that needs nothing else, with what is proven, what is not, and the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from bids_shresnet.errors import Finding
from bids_shresnet.evaluation.agreement import Agreement, mean_limits
from bids_shresnet.evaluation.statistics import QUANTITIES, TISSUES, Bias, Comparison, HeldOut
from bids_shresnet.evaluation.verdicts import ALPHA, FOR_THE_CARD, Verdict, subjects_needed, verdicts
from bids_shresnet.outputs.history import Marked, ScanRow
from bids_shresnet.outputs.run_log import Status
from bids_shresnet.pairs import Split
from bids_shresnet.report.figures.agreement import SCALES
from bids_shresnet.report.figures.resblocks import SweepRow
from bids_shresnet.report.figures.subjects import subject_page
from bids_shresnet.report.page import p_value, render
from bids_shresnet.report.style import TISSUE_NAMES, Drawing, inline, label, ordered
from bids_shresnet.settings import DEFAULT, NOTHING

PLACES = tuple(product(QUANTITIES, TISSUES))
TEMPLATE = "group.html.jinja"
SECTIONS = ("inputs", "before-after", "metrics", "uncertainty", "training")
LARGEST = 8e6  # bytes of figures in the page, which shall stay below 10 MB
ANSWERS = {"yes": "proven", "no": "not proven", "not enough subjects": "too few subjects"}


@dataclass(frozen=True)
class PairProof:
    """All that the report says about one pair of scanners.

    Attributes
    ----------
    name
        `from-<source>_to-<target>`.
    comparisons
        Of `method` with each reference, as one call of `compare` returns them (p is adjusted within it); comparisons
        of other methods, which figures need, are not shown.
    biases, rows
        Of all methods.
    answers
        By reference, as model.json has them.
    figures
        By the section of the page (`SECTIONS`), in its order.
    notes
        By section, a sentence each; also why a section has no figures.
    agreements
        Of doing nothing and of `method`.
    sweep
        Validation error by number of ResBlocks, where it was tried.
    missing
        Mean errors of shells that the source lacks, where they are predicted: plain records, as in model.json.
    """

    name: str
    source: str
    target: str
    comparisons: tuple[Comparison, ...]
    biases: tuple[Bias, ...]
    rows: tuple[HeldOut, ...]
    answers: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Sequence[Drawing]] = field(default_factory=dict)
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    agreements: tuple[Agreement, ...] = ()
    splits: tuple[Split, ...] = ()
    sweep: tuple[SweepRow, ...] = ()
    missing: tuple[Mapping[str, Any], ...] = ()
    method: str = DEFAULT

    @property
    def drawings(self) -> tuple[Drawing, ...]:
        """All figures."""
        return tuple(one for some in self.figures.values() for one in some)

    @property
    def n(self) -> int:
        """Subjects that were held out."""
        return len({row.subject for row in self.rows})

    @property
    def own(self) -> tuple[Comparison, ...]:
        """Comparisons of `method`, references in their usual order."""
        mine = [one for one in self.comparisons if one.method == self.method]
        references = ordered(one.reference for one in mine)
        return tuple(sorted(mine, key=lambda one: references.index(one.reference)))

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Against `NOTHING` first."""
        return verdicts(self.own)

    @property
    def primary(self) -> Verdict | None:
        """Against `NOTHING`, if it is compared with that."""
        return next((one for one in self.verdicts if one.reference == NOTHING), None)

    @property
    def bias_table(self) -> dict[str, list[Bias | None]]:
        """Biases by method in their usual order, one a place of `PLACES`."""
        found = {(bias.method, bias.quantity, bias.tissue): bias for bias in self.biases}
        methods = ordered(bias.method for bias in self.biases)
        return {method: [found.get((method, *place)) for place in PLACES] for method in methods}

    @property
    def agreement_table(self) -> list[tuple[str, list[list[Agreement]]]]:
        """By place its title and, before and after, the rows of all subjects."""
        states = (NOTHING, self.method)
        found = [(place, [self._agreements(method, *place) for method in states]) for place in PLACES]
        return [(_title(*place), both) for place, both in found if all(both)]

    def _agreements(self, method: str, quantity: str, tissue: str) -> list[Agreement]:
        where = (method, quantity, tissue)
        return [one for one in self.agreements if (one.method, one.quantity, one.tissue) == where]

    @property
    def tables(self) -> tuple[tuple[str, tuple[Comparison, ...]], ...]:
        """Comparisons by place, with the title of each."""
        tables = [(_title(*place), tuple(_in_place(self.own, *place))) for place in PLACES]
        return tuple((title, table) for title, table in tables if table)


@dataclass(frozen=True)
class Dataset:
    """What the report says beside the pairs.

    Attributes
    ----------
    scans
        Every DWI of the dataset; none where no run has left them.
    figures
        Of the dataset as a whole.
    marked
        What scans that were harmonized have of unlikely tissue.
    findings
        What was wrong or odd.
    failures
        Scans that failed and were not done since.
    pages
        Reports on subjects that lie beside this one.
    methods
        The methods text.
    """

    scans: tuple[ScanRow, ...] = ()
    figures: tuple[Drawing, ...] = ()
    marked: tuple[Marked, ...] = ()
    findings: tuple[Finding, ...] = ()
    failures: tuple[Status, ...] = ()
    pages: frozenset[str] = frozenset()
    methods: str = ""


def group_report(proofs: Sequence[PairProof], about: Mapping[str, str], dataset: Dataset) -> str:
    """Return the page. `about` is shown as it is: what made it (versions, command), by name."""
    facts = {
        "answers": ANSWERS,
        "alpha": ALPHA,
        "needed": subjects_needed(),
        "sentence": sentence,
        "places": PLACES,
        "glance": FOR_THE_CARD,
        "embedded": _embedded(proofs, dataset),
        "inline": inline,
        "subject_page": subject_page,
        "scales": SCALES,
        "limits": mean_limits,
        "methods": dataset.methods or "No methods text was written yet.",
    }
    return render(TEMPLATE, proofs=proofs, about=about, dataset=dataset, **facts)


def _embedded(proofs: Sequence[PairProof], dataset: Dataset) -> frozenset[Drawing]:
    """Figures that fit into the page, in its order; the others are links to their files."""
    shown = [*dataset.figures]
    shown += [one for section in SECTIONS for proof in proofs for one in proof.figures.get(section, ())]
    sizes = np.cumsum([len(one.svg) if one.leads else 4 * len(one.png) / 3 for one in shown])
    return frozenset(one for one, size in zip(shown, sizes, strict=True) if size <= LARGEST)


def sentence(proof: PairProof) -> str:
    """Say whether harmonizing is proven to help, against what, on how many subjects, or what stands in the way."""
    found, claim = proof.primary, f"that harmonizing with {label(proof.method)} is better than doing nothing"
    if found is None:
        return f"Nothing can be said: {label(proof.method)} is not compared with doing nothing on these data."
    lower = f"the error is lower, on average and in most subjects, in {found.better} of {found.judged} comparisons"
    on = f"On {found.n} held-out {'subject' if found.n == 1 else 'subjects'}"
    if found.answer == "yes":
        return f"It is proven {claim}. {on} {lower}, each with p ≤ {p_value(found.p)}. {_others(proof)}".strip()
    if found.answer == "no":
        return f"It is not proven {claim}. {on} {lower}; most in the way is {_place(found.weakest)}."
    floor = f"no p below {p_value(found.p_floor)} is possible, whatever the data; {subjects_needed()} are needed"
    return f"It cannot be proven {claim}. {on} {floor}. As far as they go, {lower}, which may be chance."


def _others(proof: PairProof) -> str:
    """Name the other methods that are beaten, and those that are not."""
    others = [one for one in proof.verdicts if one.reference != NOTHING]
    beaten = "; ".join(label(one.reference) for one in others if one.answer == "yes")
    rest = "; ".join(label(one.reference) for one in others if one.answer != "yes")
    found = {"It is also proven better than": beaten, "It is not proven better than": rest}
    return " ".join(f"{claim}: {names}." for claim, names in found.items() if names)


def _place(one: Comparison) -> str:
    """Where, and how much better or worse."""
    change = f"{abs(100 * one.decrease):.1f} % {'lower' if one.decrease > 0 else 'higher'} on average"
    share = f"lower in {round(one.improved * one.n)} of {one.n} subjects"
    where = f"{one.quantity} in {TISSUE_NAMES[one.tissue].lower()}"
    return f"{where} (error {change}, {share}, p = {p_value(one.p)})"


def _title(quantity: str, tissue: str) -> str:
    return f"{quantity}, {TISSUE_NAMES[tissue].lower()}"


def _in_place(comparisons: Iterable[Comparison], quantity: str, tissue: str) -> Iterable[Comparison]:
    return (one for one in comparisons if (one.tissue, one.quantity) == (tissue, quantity))
