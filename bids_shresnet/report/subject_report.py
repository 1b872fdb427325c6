"""Content of the report on a subject: its scans, their numbers and the last run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from bids_shresnet.evaluation.agreement import SCAN_STATES
from bids_shresnet.evaluation.results import MAP_QUANTITIES, QUANTITIES, TISSUES
from bids_shresnet.io.storage import NOT_AVAILABLE
from bids_shresnet.outputs.model.endpoint_errors import endpoint_key
from bids_shresnet.outputs.runs.past_runs import RunRecord
from bids_shresnet.report.pictures.gallery import Gallery, Panel
from bids_shresnet.report.style import DISPLAY_FACTORS, TISSUE_NAMES, endpoint_title
from bids_shresnet.settings import METHOD_NAMES, NO_HARMONIZATION

NO_MAP_STATISTICS: Mapping[str, Any] = {
    "Regions": {"From": ""},
    "Angles": {"Median": None, "Voxels": 0},
    "Target": {"File": "", "Missing": "", "Agreement": [], "Registration": {}},
    "Acquisition": [],
}


@dataclass(frozen=True)
class HeldOutError:
    """NMSE and bias of a travelling subject in one endpoint, by the network that held it out.

    Attributes
    ----------
    bias_before, bias_after
        Mean over the tissue relative to the target's, minus 1.
    """

    tissue: str
    quantity: str
    before: float
    after: float
    bias_before: float
    bias_after: float

    @property
    def title(self) -> str:
        """Quantity and tissue in words."""
        return endpoint_title(self.quantity, self.tissue)


@dataclass(frozen=True)
class TissueMean:
    """Mean of FA or MD (10^-3 mm2/s) over a tissue of the scan, before and after harmonization.

    Attributes
    ----------
    error
        Error and bias against the target of a travelling subject; None for all others.
    """

    tissue: str
    quantity: str
    before: float
    after: float
    error: HeldOutError | None


@dataclass(frozen=True)
class ScanReport:
    """One harmonized scan.

    Attributes
    ----------
    scan_file
        Name of the input file.
    harmonization
        `Harmonization` of the sidecar.
    qc
        Rows of desc-harmonization_qc.tsv: before, after and, if there is one, without noise.
    gallery
        None if there are no figures.
    """

    scan_file: str
    harmonization: Mapping[str, Any]
    qc: tuple[Mapping[str, str], ...]
    gallery: Gallery | None

    @property
    def source(self) -> str:
        """Label of the source scanner."""
        return str(self.harmonization["SourceScanner"]["Label"])

    @property
    def target(self) -> str:
        """Label of the target scanner."""
        return str(self.harmonization["TargetScanner"]["Label"])

    @property
    def method_name(self) -> str:
        """Name of the method for readers."""
        return METHOD_NAMES[self.harmonization["Method"]]

    @property
    def map_statistics(self) -> Mapping[str, Any]:
        """Numbers that were recorded with the figures."""
        return self.gallery.record if self.gallery else NO_MAP_STATISTICS

    @property
    def held_out_errors(self) -> list[HeldOutError]:
        """Errors of a travelling subject; empty for all other subjects."""
        errors = (self._held_out_error(*endpoint) for endpoint in product(TISSUES, QUANTITIES))
        return [error for error in errors if error]

    def _held_out_error(self, tissue: str, quantity: str) -> HeldOutError | None:
        errors = self.harmonization.get("HeldOutErrors", {})
        key = endpoint_key(tissue, quantity)
        before = errors.get(NO_HARMONIZATION, {}).get(key)
        after = errors.get(self.harmonization["Method"], {}).get(key)
        if not (before and after):
            return None
        return HeldOutError(
            tissue=tissue,
            quantity=quantity,
            before=before["NMSE"],
            after=after["NMSE"],
            bias_before=before["Bias"],
            bias_after=after["Bias"],
        )

    @property
    def improved_count(self) -> int:
        """Number of endpoints with a lower error after harmonization."""
        return sum(error.after < error.before for error in self.held_out_errors)

    @property
    def tissue_means(self) -> list[TissueMean]:
        """Means of FA, then of MD, over the tissues of the scan; empty if these are not known."""
        endpoints = product(MAP_QUANTITIES, TISSUES)
        rows = [self._tissue_mean(quantity, tissue) for quantity, tissue in endpoints]
        return [row for row in rows if row]

    def _tissue_mean(self, quantity: str, tissue: str) -> TissueMean | None:
        column = f"{tissue}_{quantity}".lower()
        cells = [row.get(column, NOT_AVAILABLE) for row in self.qc[:2]]
        if len(cells) < len(SCAN_STATES) or NOT_AVAILABLE in cells:
            return None
        means = [DISPLAY_FACTORS[quantity] * float(cell) for cell in cells]
        return TissueMean(
            tissue=TISSUE_NAMES[tissue],
            quantity=quantity,
            before=means[0],
            after=means[1],
            error=self._held_out_error(tissue, quantity),
        )

    def panels(self, section: str) -> list[Panel]:
        """Pictures of one section of the page."""
        panels = self.gallery.panels if self.gallery else ()
        return [panel for panel in panels if panel.section == section]


@dataclass(frozen=True)
class SubjectReport:
    """Everything that the page shows.

    Attributes
    ----------
    run
        The last run that worked on the subject; None if none is recorded.
    has_group_report
        True if there is a group report to link to.
    has_index
        True if there is a page of all scans to link to.
    previous, following
        Subjects before and after this one with a page to link to; empty without one.
    """

    subject: str
    scans: tuple[ScanReport, ...]
    run: RunRecord | None
    methods_text: str
    has_group_report: bool
    has_index: bool = False
    previous: str = ""
    following: str = ""

    @property
    def run_rows(self) -> tuple[Mapping[str, str], ...]:
        """Rows of status.tsv on this subject, of the last run."""
        return self.run.rows if self.run else ()
