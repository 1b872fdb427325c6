"""Content of the group page: what it shows of each pair of scanners, and of the dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from statistics import fmean

from bids_shresnet.errors import Finding
from bids_shresnet.evaluation.agreement import Agreement
from bids_shresnet.evaluation.comparison import Bias, Comparison, Endpoint, subject_means
from bids_shresnet.evaluation.group_means.excess_error import ExcessError
from bids_shresnet.evaluation.results import PLACES, QUANTITIES, REFERENCES, TISSUES, HeldOutResult
from bids_shresnet.evaluation.validation import ValidationResult, validate_against_all
from bids_shresnet.outputs.model.validation import (
    EffectRecovery,
    Equivalence,
    MissingShellError,
    Preservation,
)
from bids_shresnet.outputs.runs.history import NovelFraction, ScanRow
from bids_shresnet.outputs.runs.run_log import ScanStatus
from bids_shresnet.pairs import Split
from bids_shresnet.report.figures.resblocks import SweepRow
from bids_shresnet.report.style import Drawing, endpoint_title, sort_methods
from bids_shresnet.settings import DEFAULT_METHOD, NO_HARMONIZATION

ENDPOINTS = tuple(product(QUANTITIES, TISSUES))  # in the order of the page's tables


@dataclass(frozen=True)
class EffectRow:
    """Mean site bias and error of one endpoint, without harmonization and with it."""

    title: str
    bias_before: float
    bias_after: float
    error_before: float
    error_after: float


@dataclass(frozen=True)
class PairReport:
    """Everything that the report shows of one pair of scanners.

    Attributes
    ----------
    name
        `from-<source>_to-<target>`.
    comparisons
        Comparisons of `method` with each baseline, from one call of `compare_methods`, which
        adjusts p over all of them. Those of other methods are ignored.
    biases, rows
        Those of all methods.
    answers
        Answers by baseline, as in model.json.
    figures
        Figures by section of the page (`FIGURE_SECTIONS`), in its order.
    notes
        Sentences by section; they also say why a section has no figures.
    agreements, equivalences, preservations
        Those of no harmonization and of `method`.
    excess_errors
        Those of `method`; none without second scans on the target.
    regional_equivalences
        Tests of regions, of no harmonization and of `method`; none without a parcellation.
    sweep
        Validation error by number of ResBlocks, if several were tried.
    missing_shell_errors
        Mean errors of shells that the source lacks, where they are predicted.
    recoveries
        How much of known effects is found again.
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
    equivalences: tuple[Equivalence, ...] = ()
    preservations: tuple[Preservation, ...] = ()
    excess_errors: tuple[ExcessError, ...] = ()
    regional_equivalences: tuple[Equivalence, ...] = ()
    splits: tuple[Split, ...] = ()
    sweep: tuple[SweepRow, ...] = ()
    missing_shell_errors: tuple[MissingShellError, ...] = ()
    recoveries: tuple[EffectRecovery, ...] = ()
    method: str = DEFAULT_METHOD

    @property
    def drawings(self) -> tuple[Drawing, ...]:
        """All figures."""
        return tuple(chain.from_iterable(self.figures.values()))

    @property
    def n(self) -> int:
        """Number of held-out subjects."""
        return len({row.subject for row in self.rows})

    @property
    def method_comparisons(self) -> tuple[Comparison, ...]:
        """Comparisons of `method`, with baselines in their usual order."""
        comparisons = [item for item in self.comparisons if item.method == self.method]
        baselines = sort_methods(item.baseline for item in comparisons)
        return tuple(sorted(comparisons, key=lambda item: baselines.index(item.baseline)))

    @property
    def validation_results(self) -> tuple[ValidationResult, ...]:
        """Results for each baseline, no harmonization first."""
        return validate_against_all(self.method_comparisons)

    @property
    def bias_table(self) -> dict[str, list[Bias | None]]:
        """Biases by method in their usual order, one per endpoint of `ENDPOINTS`."""
        biases = {(bias.method, bias.quantity, bias.tissue): bias for bias in self.biases}
        table: dict[str, list[Bias | None]] = {}
        for method in sort_methods(bias.method for bias in self.biases):
            table[method] = [biases.get((method, *endpoint)) for endpoint in ENDPOINTS]
        return table

    @property
    def effect_table(self) -> list[EffectRow]:
        """Site bias and error of each endpoint, without harmonization and with `method`."""
        rows = []
        for comparison in self.method_comparisons:
            if comparison.baseline == NO_HARMONIZATION and not comparison.is_mean_error:
                endpoint = (comparison.quantity, comparison.tissue)
                rows.append(
                    EffectRow(
                        title=endpoint_title(*endpoint),
                        bias_before=self._find_bias(NO_HARMONIZATION, *endpoint),
                        bias_after=self._find_bias(self.method, *endpoint),
                        error_before=comparison.baseline_error,
                        error_after=comparison.error,
                    )
                )
        return sorted(rows, key=lambda row: row.title.partition(",")[0])  # FA and MD come first

    def _find_bias(self, method: str, quantity: str, tissue: str) -> float:
        """Return the mean site bias; NaN if it is not known."""
        biases = (item for item in self.biases if item.method == method)
        endpoint = (quantity, tissue)
        means = (item.mean for item in biases if (item.quantity, item.tissue) == endpoint)
        return next(means, float("nan"))

    @property
    def place_errors(self) -> dict[str, list[list[float | None]]]:
        """Mean NMSE by method of interest: at all places and in the interior, by endpoint."""
        shown = (NO_HARMONIZATION, self.method, *REFERENCES)
        table: dict[str, list[list[float | None]]] = {}
        for method in sort_methods(row.method for row in self.rows if row.method in shown):
            table[method] = [self._mean_errors(method, *endpoint) for endpoint in ENDPOINTS]
        return table

    def _mean_errors(self, method: str, quantity: str, tissue: str) -> list[float | None]:
        endpoint = Endpoint(method, tissue, quantity)
        errors = [
            list(subject_means(self.rows, endpoint, places=place).values()) for place in PLACES
        ]
        return [fmean(values) if values else None for values in errors]

    @property
    def agreement_table(self) -> list[tuple[str, list[list[Agreement]]]]:
        """Title of each endpoint, with the rows of all subjects before and after harmonization."""
        table = []
        for quantity, tissue in ENDPOINTS:
            before = self._select_agreements(NO_HARMONIZATION, quantity, tissue)
            after = self._select_agreements(self.method, quantity, tissue)
            if before and after:
                table.append((endpoint_title(quantity, tissue), [before, after]))
        return table

    @property
    def means_table(self) -> list[tuple[str, Equivalence, Preservation | None]]:
        """Title of each tissue and map, its equivalence test and its differences of subjects."""
        records = {(item.method, item.region, item.quantity): item for item in self.preservations}
        table = []
        for test in sorted(self.equivalences, key=lambda item: ENDPOINTS.index(_endpoint(item))):
            record = records.get((test.method, test.region, test.quantity))
            table.append((endpoint_title(test.quantity, test.region), test, record))
        return table

    @property
    def regions_table(self) -> list[tuple[Equivalence | None, Equivalence]]:
        """Tests of each region and map: of no harmonization, and of `method`."""
        before = {
            (test.region, test.quantity): test
            for test in self.regional_equivalences
            if test.method == NO_HARMONIZATION
        }
        after = [test for test in self.regional_equivalences if test.method == self.method]
        return [(before.get((test.region, test.quantity)), test) for test in after]

    @property
    def comparison_tables(self) -> list[tuple[str, list[Comparison]]]:
        """Title of each endpoint, with its comparisons."""
        tables = []
        for endpoint in ENDPOINTS:
            comparisons = [
                item for item in self.method_comparisons if (item.quantity, item.tissue) == endpoint
            ]
            if comparisons:
                tables.append((endpoint_title(*endpoint), comparisons))
        return tables

    def _select_agreements(self, method: str, quantity: str, tissue: str) -> list[Agreement]:
        endpoint = (method, quantity, tissue)
        return [
            row for row in self.agreements if (row.method, row.quantity, row.tissue) == endpoint
        ]


@dataclass(frozen=True)
class DatasetReport:
    """What the report shows of the dataset.

    Attributes
    ----------
    scans
        Every DWI of the dataset; none if no run has recorded them.
    figures
        Figures of the whole dataset.
    novel_fractions
        Share of out-of-distribution voxels of harmonized scans.
    findings
        Errors and warnings about the dataset.
    failures
        Scans that failed and were not processed since.
    subject_pages
        File names of the pages that exist.
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


def _endpoint(test: Equivalence) -> tuple[str, str]:
    return (test.quantity, test.region)
