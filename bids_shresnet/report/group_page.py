"""The report on a group: one HTML file that needs nothing else, with what is validated, what is not, and the numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from bids_shresnet.errors import Finding
from bids_shresnet.evaluation.agreement import Agreement, mean_limits
from bids_shresnet.evaluation.statistics import QUANTITIES, TISSUES, Bias, Comparison, HeldOutResult
from bids_shresnet.evaluation.validation import (
    ALPHA,
    CARD_BASELINES,
    ValidationResult,
    subjects_needed,
    validate_against_all,
)
from bids_shresnet.outputs.history import NovelFraction, ScanRow
from bids_shresnet.outputs.model_card import MissingShellError
from bids_shresnet.outputs.run_log import ScanStatus
from bids_shresnet.pairs import Split
from bids_shresnet.report.figures.resblocks import SweepRow
from bids_shresnet.report.figures.subjects import subject_page_name
from bids_shresnet.report.page import format_p_value, render_page
from bids_shresnet.report.style import (
    DISPLAY_FACTORS,
    TISSUE_NAMES,
    Drawing,
    inline_svg,
    method_label,
    sort_methods,
)
from bids_shresnet.settings import DEFAULT_METHOD, NO_HARMONIZATION

ENDPOINTS = tuple(product(QUANTITIES, TISSUES))
GROUP_PAGE_TEMPLATE = "group.html.jinja"
FIGURE_SECTIONS = ("inputs", "before-after", "metrics", "uncertainty", "training")
MAX_EMBEDDED_BYTES = 8e6  # bytes of figures in the page, which shall stay below 10 MB
ANSWER_LABELS = {
    "yes": "validated",
    "no": "not validated",
    "not enough subjects": "too few subjects",
}


@dataclass(frozen=True)
class PairReport:
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
        Those of no harmonization and of `method`.
    sweep
        Validation error by number of ResBlocks, where it was tried.
    missing_shell_errors
        Mean errors of shells that the source lacks, where they are predicted: plain records, as in model.json.
    """

    name: str
    source: str
    target: str
    comparisons: tuple[Comparison, ...]
    biases: tuple[Bias, ...]
    rows: tuple[HeldOutResult, ...]
    answers: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Sequence[Drawing]] = field(default_factory=dict)
    notes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    agreements: tuple[Agreement, ...] = ()
    splits: tuple[Split, ...] = ()
    sweep: tuple[SweepRow, ...] = ()
    missing_shell_errors: tuple[MissingShellError, ...] = ()
    method: str = DEFAULT_METHOD

    @property
    def drawings(self) -> tuple[Drawing, ...]:
        """All figures."""
        return tuple(one for some in self.figures.values() for one in some)

    @property
    def n(self) -> int:
        """Subjects that were held out."""
        return len({row.subject for row in self.rows})

    @property
    def method_comparisons(self) -> tuple[Comparison, ...]:
        """Comparisons of `method`, references in their usual order."""
        mine = [one for one in self.comparisons if one.method == self.method]
        references = sort_methods(one.baseline for one in mine)
        return tuple(sorted(mine, key=lambda one: references.index(one.baseline)))

    @property
    def validation_results(self) -> tuple[ValidationResult, ...]:
        """Against `NOTHING` first."""
        return validate_against_all(self.method_comparisons)

    @property
    def primary_result(self) -> ValidationResult | None:
        """Against `NOTHING`, if it is compared with that."""
        return next(
            (one for one in self.validation_results if one.baseline == NO_HARMONIZATION), None
        )

    @property
    def bias_table(self) -> dict[str, list[Bias | None]]:
        """Biases by method in their usual order, one a place of `PLACES`."""
        found = {(bias.method, bias.quantity, bias.tissue): bias for bias in self.biases}
        methods = sort_methods(bias.method for bias in self.biases)
        return {method: [found.get((method, *place)) for place in ENDPOINTS] for method in methods}

    @property
    def agreement_table(self) -> list[tuple[str, list[list[Agreement]]]]:
        """By place its title and, before and after, the rows of all subjects."""
        states = (NO_HARMONIZATION, self.method)
        found = [
            (place, [self._select_agreements(method, *place) for method in states])
            for place in ENDPOINTS
        ]
        return [(_endpoint_title(*place), both) for place, both in found if all(both)]

    def _select_agreements(self, method: str, quantity: str, tissue: str) -> list[Agreement]:
        where = (method, quantity, tissue)
        return [one for one in self.agreements if (one.method, one.quantity, one.tissue) == where]

    @property
    def comparison_tables(self) -> tuple[tuple[str, tuple[Comparison, ...]], ...]:
        """Comparisons by place, with the title of each."""
        tables = [
            (_endpoint_title(*place), tuple(_select_comparisons(self.method_comparisons, *place)))
            for place in ENDPOINTS
        ]
        return tuple((title, table) for title, table in tables if table)


@dataclass(frozen=True)
class DatasetReport:
    """What the report says beside the pairs.

    Attributes
    ----------
    scans
        Every DWI of the dataset; none where no run has left them.
    figures
        Of the dataset as a whole.
    novel_fractions
        Share of out-of-distribution voxels of harmonized scans.
    findings
        What was wrong or odd.
    failures
        Scans that failed and were not done since.
    subject_pages
        Reports on subjects that lie beside this one.
    methods_text
        The methods text.
    """

    scans: tuple[ScanRow, ...] = ()
    figures: tuple[Drawing, ...] = ()
    novel_fractions: tuple[NovelFraction, ...] = ()
    findings: tuple[Finding, ...] = ()
    failures: tuple[ScanStatus, ...] = ()
    subject_pages: frozenset[str] = frozenset()
    methods_text: str = ""


def render_group_report(
    pairs: Sequence[PairReport], about: Mapping[str, str], dataset: DatasetReport
) -> str:
    """Return the page. `about` is shown as it is: what made it (versions, command), by name."""
    facts = {
        "answers": ANSWER_LABELS,
        "alpha": ALPHA,
        "needed": subjects_needed(),
        "sentence": validation_sentence,
        "places": ENDPOINTS,
        "glance": CARD_BASELINES,
        "embedded": _figures_to_embed(pairs, dataset),
        "inline": inline_svg,
        "subject_page": subject_page_name,
        "scales": DISPLAY_FACTORS,
        "limits": mean_limits,
        "methods": dataset.methods_text or "No methods text was written yet.",
    }
    return render_page(GROUP_PAGE_TEMPLATE, pairs=pairs, about=about, dataset=dataset, **facts)


def _figures_to_embed(pairs: Sequence[PairReport], dataset: DatasetReport) -> frozenset[Drawing]:
    """Figures that fit into the page, in its order; the others are links to their files."""
    shown = [*dataset.figures]
    shown += [
        one
        for section in FIGURE_SECTIONS
        for pair in pairs
        for one in pair.figures.get(section, ())
    ]
    sizes = np.cumsum([len(one.svg) if one.has_links else 4 * len(one.png) / 3 for one in shown])
    return frozenset(
        one for one, size in zip(shown, sizes, strict=True) if size <= MAX_EMBEDDED_BYTES
    )


def validation_sentence(pair: PairReport) -> str:
    """State in words whether harmonizing is validated, on how many subjects, or what is missing."""
    found, statement = (
        pair.primary_result,
        f"that harmonizing with {method_label(pair.method)} is better than no harmonization",
    )
    if found is None:
        return f"It is not known whether harmonizing helps: {method_label(pair.method)} is not compared with no harmonization on these data."
    lower = f"the error is lower, on average and in most subjects, in {found.better_count} of {found.comparison_count} comparisons"
    on = f"On {found.n} held-out {'subject' if found.n == 1 else 'subjects'}"
    if found.answer == "yes":
        return f"It is validated {statement}. {on} {lower}, each with p ≤ {format_p_value(found.p)}. {_baselines_sentence(pair)}".strip()
    if found.answer == "no":
        return f"It is not validated {statement}. {on} {lower}; the weakest result is {_describe_comparison(found.weakest)}."
    floor = f"no p below {format_p_value(found.p_floor)} is possible, whatever the data; {subjects_needed()} are needed"
    return (
        f"It cannot be validated {statement}. {on} {floor}. So far, {lower}, which may be chance."
    )


def _baselines_sentence(pair: PairReport) -> str:
    """Name the other methods that are beaten, and those that are not."""
    others = [one for one in pair.validation_results if one.baseline != NO_HARMONIZATION]
    beaten = "; ".join(method_label(one.baseline) for one in others if one.answer == "yes")
    rest = "; ".join(method_label(one.baseline) for one in others if one.answer != "yes")
    found = {
        "It is also validated to be better than": beaten,
        "It is not validated to be better than": rest,
    }
    return " ".join(f"{statement}: {names}." for statement, names in found.items() if names)


def _describe_comparison(comparison: Comparison) -> str:
    """Where, and how much better or worse."""
    change = f"{abs(100 * comparison.decrease):.1f} % {'lower' if comparison.decrease > 0 else 'higher'} on average"
    share = f"lower in {round(comparison.improved_share * comparison.n)} of {comparison.n} subjects"
    where = f"{comparison.quantity} in {TISSUE_NAMES[comparison.tissue].lower()}"
    return f"{where} (error {change}, {share}, p = {format_p_value(comparison.p)})"


def _endpoint_title(quantity: str, tissue: str) -> str:
    return f"{quantity}, {TISSUE_NAMES[tissue].lower()}"


def _select_comparisons(
    comparisons: Iterable[Comparison], quantity: str, tissue: str
) -> Iterable[Comparison]:
    return (one for one in comparisons if (one.tissue, one.quantity) == (tissue, quantity))
