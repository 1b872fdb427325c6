"""Content of the report on a subject: its scans, their numbers and the last run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bids_shresnet.outputs.runs.past_runs import RunRecord
from bids_shresnet.report.pictures.gallery import Gallery, Panel
from bids_shresnet.report.style import DISPLAY_FACTORS
from bids_shresnet.settings import METHOD_NAMES, NO_HARMONIZATION

NO_MAP_STATISTICS: Mapping[str, Any] = {
    "Regions": {"From": "", "Means": []},
    "Angles": {"Median": None, "Voxels": 0},
    "Target": {"File": "", "Missing": "", "Agreement": []},
}


@dataclass(frozen=True)
class HeldOutError:
    """NMSE of a travelling subject in one endpoint, by the network that held it out.

    Attributes
    ----------
    endpoint
        Tissue and quantity, such as `WM FA`.
    """

    endpoint: str
    before: float
    after: float


@dataclass(frozen=True)
class RegionMean:
    """Mean of FA or MD (10^-3 mm2/s) over a region, before and after harmonization."""

    region: str
    quantity: str
    before: float
    after: float


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
        Rows of desc-harmonization_qc.tsv, before and after.
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
        errors = self.harmonization.get("HeldOutErrors", {})
        before = errors.get(NO_HARMONIZATION, {})
        after = errors.get(self.harmonization["Method"], {})
        return [
            HeldOutError(endpoint, before[endpoint]["NMSE"], after[endpoint]["NMSE"])
            for endpoint in before
            if endpoint in after
        ]

    @property
    def improved_count(self) -> int:
        """Number of endpoints with a lower error after harmonization."""
        return sum(error.after < error.before for error in self.held_out_errors)

    @property
    def region_means(self) -> list[RegionMean]:
        """Means of FA, then of MD, over all regions."""
        rows = []
        for quantity in ("FA", "MD"):
            factor = DISPLAY_FACTORS[quantity]
            for record in self.map_statistics["Regions"]["Means"]:
                before = factor * record[quantity]["before"]
                after = factor * record[quantity]["after"]
                rows.append(RegionMean(record["Region"], quantity, before, after))
        return rows

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
    """

    subject: str
    scans: tuple[ScanReport, ...]
    run: RunRecord | None
    methods_text: str
    has_group_report: bool

    @property
    def run_rows(self) -> tuple[Mapping[str, str], ...]:
        """Rows of status.tsv on this subject, of the last run."""
        return self.run.rows if self.run else ()
