"""The report on a subject: what was done to its scans, what changed, how far that can be trusted; one HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_shresnet.io.storage import NOT_AVAILABLE
from bids_shresnet.outputs.past_runs import RunRecord
from bids_shresnet.report.page import format_percent, render_page
from bids_shresnet.report.pictures.gallery import Gallery, Panel
from bids_shresnet.settings import METHOD_NAMES, NO_HARMONIZATION

SUBJECT_PAGE_TEMPLATE = "subject.html.jinja"
PANEL_SECTIONS = ("images", "metrics", "trust")  # that show panels
MAX_EMBEDDED_PNG_BYTES = (
    7_000_000  # bytes of pictures that stand in the page, a quarter less than what they take there
)
EXPECTED_NOVEL_FRACTION = 0.02  # share of a healthy brain that is out of distribution
WARN_NOVEL_FRACTION = 0.05  # the same: worth a warning
WARN_CLIPPED_FRACTION = 0.01  # share of S/S0 outside [0, 1] that is worth a warning
ANSWER_PREDICATES = {
    "yes": "is validated",
    "no": "is not validated",
    "not enough subjects": "cannot be validated",
}


NO_MAP_STATISTICS: Mapping[str, Any] = {
    "Regions": {"From": "", "Means": []},
    "Angles": {"Median": None, "Voxels": 0},
    "Target": {"File": "", "Missing": "", "Agreement": []},
}


@dataclass(frozen=True)
class ScanReport:
    """One harmonized scan.

    Attributes
    ----------
    scan_file
        Its file.
    harmonization
        `Harmonization` of its sidecar.
    qc
        Rows of desc-harmonization_qc.tsv, before and after.
    gallery
        None where its figures are not there.
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
    def map_statistics(self) -> Mapping[str, Any]:
        """What was measured while the figures were made."""
        return self.gallery.record if self.gallery else NO_MAP_STATISTICS

    @property
    def held_out_errors(self) -> list[tuple[str, float, float]]:
        """Endpoint, NMSE before and NMSE after of a travelling subject, by the network that held it out."""
        errors = self.harmonization.get("HeldOutErrors", {})
        before, after = (
            errors.get(NO_HARMONIZATION, {}),
            errors.get(self.harmonization["Method"], {}),
        )
        return [
            (place, before[place]["NMSE"], after[place]["NMSE"])
            for place in before
            if place in after
        ]

    @property
    def improved_count(self) -> int:
        """In how many places of `held_out_errors` the error fell."""
        return sum(after < before for _, before, after in self.held_out_errors)

    def panels(self, section: str) -> list[Panel]:
        """Its pictures of one section."""
        return (
            [panel for panel in self.gallery.panels if panel.section == section]
            if self.gallery
            else []
        )


@dataclass(frozen=True)
class SubjectReport:
    """All that the page says.

    Attributes
    ----------
    run
        The last run that worked on the subject; None where none is recorded.
    methods_text
        The methods text.
    has_group_report
        Whether a report on the group lies beside this one.
    """

    subject: str
    scans: tuple[ScanReport, ...]
    run: RunRecord | None
    methods_text: str
    has_group_report: bool


def render_subject_report(report: SubjectReport) -> str:
    """Return the page."""
    facts: dict[str, Any] = {
        "pairing": list(pairing_rows(report)),
        "failures": [
            row for row in (report.run.rows if report.run else ()) if row["status"] == "failed"
        ],
        "statement": validation_statement,
        "warnings": scan_warnings,
        "changes": region_means,
        "embedded": _files_to_embed(report.scans),
        "usual": EXPECTED_NOVEL_FRACTION,
    }
    return render_page(
        SUBJECT_PAGE_TEMPLATE,
        report=report,
        about=run_provenance(report),
        methods=report.methods_text,
        **facts,
    )


def validation_statement(scan: ScanReport) -> tuple[str, str]:
    """Return the answer whether the model is better than no harmonization, and a sentence."""
    validation, method = (
        scan.harmonization["Validation"],
        METHOD_NAMES[scan.harmonization["Method"]],
    )
    found = validation.get("BetterThan", {}).get(NO_HARMONIZATION)
    if found is None:
        return (
            "no",
            "It is not known whether harmonizing helps: the model was never cross-validated (`group` does).",
        )
    if validation["Method"] != scan.harmonization["Method"]:
        other = METHOD_NAMES[validation["Method"]]
        return "no", f"It is not known whether {method} helps: {other} was cross-validated."
    statement = f"that {method} from {scan.source} to {scan.target} is better than no harmonization"
    on = f"on {validation['Subjects']} held-out subjects (largest p = {found['LargestP']:g}"
    floor = (
        f"; below {found['SmallestPossibleP']:g} no p is possible)"
        if found["Answer"] not in ("yes", "no")
        else ")"
    )
    return found["Answer"], f"It {ANSWER_PREDICATES[found['Answer']]} {statement}, {on}{floor}."


def scan_warnings(scan: ScanReport) -> list[str]:
    """What a reader must know before using the scan, a sentence each."""
    record, share = scan.harmonization, scan.harmonization["Novelty"]["MarkedFraction"]
    predicted = [f"{shell['BValue']:.0f}" for shell in record.get("PredictedShells", [])]
    kept = " These voxels were left as measured." if record["Novelty"]["LeftAsMeasured"] else ""
    worse = [place for place, before, after in scan.held_out_errors if after > before]
    found = {
        f"{format_percent(share).removeprefix('+')} of the brain are unlike anything the model was trained on; of a healthy "
        f"scan of this scanner {EXPECTED_NOVEL_FRACTION:.0%} are.{kept}": share
        > WARN_NOVEL_FRACTION,
        f"{format_percent(record['ClippedSignal']).removeprefix('+')} of S/S0 was outside 0 to 1 and clipped: look at the b0 "
        "volumes and for motion.": record["ClippedSignal"] > WARN_CLIPPED_FRACTION,
        f"The shells b = {', '.join(predicted)} s/mm² were never measured in any form; they are predictions.": bool(
            predicted
        ),
        f"On this very subject the error became larger in {', '.join(worse)}.": bool(worse),
        "The figures of this scan are missing; `participant` draws them again.": scan.gallery
        is None,
    }
    return [sentence for sentence, holds in found.items() if holds]


def region_means(scan: ScanReport) -> list[tuple[str, str, float, float]]:
    """Region, quantity and its means before and after; MD in 10^-3 mm2/s."""
    means = scan.map_statistics["Regions"]["Means"]
    rows = [(one["Region"], "FA", one["FA"]["before"], one["FA"]["after"]) for one in means]
    return rows + [
        (one["Region"], "MD", 1e3 * one["MD"]["before"], 1e3 * one["MD"]["after"]) for one in means
    ]


def pairing_rows(report: SubjectReport) -> Iterator[tuple[str, str, str, str]]:
    """Scan, scanner, role and why, a row a scan; those of an earlier run come last."""
    rows = report.run.rows if report.run else ()
    goals = {scan.target for scan in report.scans}
    for row in rows:
        own = [scan for scan in report.scans if scan.scan_file == row["file"]]
        scanner = row.get("scanner", NOT_AVAILABLE) if not own else own[0].source
        role = "source" if own else "target" if scanner in goals else "not used"
        models = ", ".join(scan.harmonization["Model"] for scan in own)
        reason = "" if row["reason"] == NOT_AVAILABLE else f": {row['reason']}"
        yield (
            row["file"],
            scanner,
            role,
            f"{row['status']}{reason}" + (f"; model {models}" if models else ""),
        )
    said = {row["file"] for row in rows}
    for scan in report.scans:
        if scan.scan_file not in said:
            yield (
                scan.scan_file,
                scan.source,
                "source",
                f"harmonized by an earlier run; model {scan.harmonization['Model']}",
            )


def run_provenance(report: SubjectReport) -> dict[str, str]:
    """Run, models and versions, by name."""
    run = report.run
    facts = (
        {"run": run.name, "started": run.start_time, "command": run.command}
        if run
        else {"run": NOT_AVAILABLE}
    )
    for scan in report.scans:
        record, of = (
            scan.harmonization,
            f", {scan.scan_file} to {scan.target}" if len(report.scans) > 1 else "",
        )
        seen = (
            "yes: it was harmonized by the fold that held it out"
            if record["SubjectInTraining"]
            else "no: the mean of all folds"
        )
        facts |= {
            f"model{of}": f"{record['Model']}, SHA-256 {record['ModelSHA256']}",
            f"method{of}": METHOD_NAMES[record["Method"]],
            f"fold{of}": ", ".join(record["Networks"]),
            f"subject in training{of}": seen,
        }
    return facts | dict(run.software if run else {})


def _files_to_embed(scans: Sequence[ScanReport]) -> set[str]:
    """Files that stand in the page itself: as many pictures, in their order, as keep it below 10 MB."""
    chosen, total = set(), 0
    for section in PANEL_SECTIONS:
        for panel in (panel for scan in scans for panel in scan.panels(section)):
            for file, drawing in zip(panel.files, panel.pictures.values(), strict=True):
                total += len(drawing.png)
                if total <= MAX_EMBEDDED_PNG_BYTES:
                    chosen.add(file)
    return chosen
