"""The report on a subject as one HTML file: its scans, what changed, and how far to trust it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bids_shresnet.diffusion.novelty import EXPECTED_NOVEL_FRACTION
from bids_shresnet.evaluation.agreement import SCAN_STATES
from bids_shresnet.evaluation.validation import CLAIM_BASELINES, answer_claim
from bids_shresnet.io.storage import NOT_AVAILABLE
from bids_shresnet.outputs.layout import INPUT_DESC
from bids_shresnet.outputs.ratings import RATINGS
from bids_shresnet.report.figures.subjects import subject_page_name
from bids_shresnet.report.methods_panels import make_methods_panels
from bids_shresnet.report.page import render_page
from bids_shresnet.report.scan_warnings import scan_warnings
from bids_shresnet.report.subject_report import ScanReport, SubjectReport
from bids_shresnet.settings import METHOD_NAMES, NO_HARMONIZATION
from bids_shresnet.version import __version__

SUBJECT_PAGE_TEMPLATE = "subject.html.jinja"
PANEL_SECTIONS = ("images", "metrics", "trust")
ARTEFACTS = ("motion", "distortion", "noise", "brain mask", "registration", "lesion", "other")
MAX_EMBEDDED_PNG_BYTES = 7_000_000  # a page is a third larger and shall stay below 10 MB
BEFORE, AFTER = SCAN_STATES
ANSWER_PREDICATES = {
    "yes": "is validated",
    "no": "is not validated",
    "not enough subjects": "cannot be validated",
}


@dataclass(frozen=True)
class PairingRow:
    """One scan of the subject, the role of its scanner, and what the run did with it."""

    file: str
    scanner: str
    role: str
    status: str


def render_subject_report(report: SubjectReport) -> str:
    """Return the page."""
    return render_page(
        SUBJECT_PAGE_TEMPLATE,
        report=report,
        about=run_provenance(report),
        methods=make_methods_panels(report.methods_text),
        ratings=RATINGS,
        artefacts=ARTEFACTS,
        version=__version__,
        subject_page=subject_page_name,
        pairing_rows=list(pairing_rows(report)),
        failures=[row for row in report.run_rows if row["status"] == "failed"],
        validation_statement=validation_statement,
        map_label=map_label,
        scan_warnings=scan_warnings,
        embedded_files=_files_to_embed(report.scans),
        expected_novel_fraction=EXPECTED_NOVEL_FRACTION,
    )


def map_label(desc: str) -> str:
    """Name maps by their `desc`: those before, after, after without noise, or the uncertainty."""
    if desc == INPUT_DESC:
        return BEFORE
    if desc.endswith("Denoised"):
        return f"{AFTER}, without noise"
    return "uncertainty" if desc.startswith("uncertainty") else AFTER


def validation_statement(scan: ScanReport) -> tuple[str, str]:
    """Return the answer to the whole claim, and one sentence for each baseline of it."""
    validation = scan.harmonization["Validation"]
    results = validation.get("BetterThan", {})
    if NO_HARMONIZATION not in results:
        return "no", (
            "It is not known whether harmonization helps, because the model was never "
            "cross-validated. Run `group` to find out."
        )
    if validation["Method"] != scan.harmonization["Method"]:
        validated_method = METHOD_NAMES[validation["Method"]]
        return "no", (
            f"It is not known whether {scan.method_name} helps, because {validated_method} was "
            "cross-validated."
        )
    answers = {baseline: result["Answer"] for baseline, result in results.items()}
    sentences = [
        _answer_sentence(scan, name, results.get(baseline))
        for baseline, name in CLAIM_BASELINES.items()
    ]
    return answer_claim(answers), " ".join(sentences)


def _answer_sentence(scan: ScanReport, name: str, result: Mapping[str, Any] | None) -> str:
    if result is None:
        return f"It was not compared with {name}."
    subjects = scan.harmonization["Validation"]["Subjects"]
    p_values = f"largest p = {result['LargestP']:g}"
    if result["Answer"] == "not enough subjects":
        p_values += f"; smallest attainable p = {result['SmallestPossibleP']:g}"
    return (
        f"It {ANSWER_PREDICATES[result['Answer']]} that {scan.method_name} from {scan.source} to "
        f"{scan.target} is better than {name}, on {subjects} held-out subjects ({p_values})."
    )


def pairing_rows(report: SubjectReport) -> Iterator[PairingRow]:
    """List the subject's scans; those that only an earlier run harmonized come last."""
    for row in report.run_rows:
        yield _run_pairing_row(row, report.scans)
    run_files = {row["file"] for row in report.run_rows}
    for scan in report.scans:
        if scan.scan_file not in run_files:
            status = f"harmonized by an earlier run; model {scan.harmonization['Model']}"
            yield PairingRow(scan.scan_file, scan.source, "source", status)


def _run_pairing_row(row: Mapping[str, str], scans: Sequence[ScanReport]) -> PairingRow:
    """Describe a row of status.tsv; if the scan is harmonized, with the models."""
    status = row["status"]
    if row["reason"] != NOT_AVAILABLE:
        status += f": {row['reason']}"
    harmonized = [scan for scan in scans if scan.scan_file == row["file"]]
    if harmonized:
        models = ", ".join(scan.harmonization["Model"] for scan in harmonized)
        status += f"; model {models}"
        return PairingRow(row["file"], harmonized[0].source, "source", status)
    scanner = row.get("scanner", NOT_AVAILABLE)
    role = "target" if scanner in {scan.target for scan in scans} else "not used"
    return PairingRow(row["file"], scanner, role, status)


def run_provenance(report: SubjectReport) -> dict[str, str]:
    """Run, models and software versions, by name."""
    run = report.run
    facts = {"run": NOT_AVAILABLE}
    if run:
        facts = {
            "run": run.name,
            "started": run.provenance.start_time,
            "command": run.provenance.command,
        }
    for scan in report.scans:
        suffix = f", {scan.scan_file} to {scan.target}" if len(report.scans) > 1 else ""
        for name, value in _model_provenance(scan).items():
            facts[name + suffix] = value
    return facts | dict(run.provenance.software if run else {})


def _model_provenance(scan: ScanReport) -> Mapping[str, str]:
    record = scan.harmonization
    return {
        "model": f"{record['Model']}, SHA-256 {record['ModelSHA256']}",
        "method": scan.method_name,
        "network": record["Network"],
        "subject in training": (
            "yes: it was harmonized by the fold that held it out"
            if record["SubjectInTraining"]
            else "no: it was harmonized by the fit to all travelling subjects"
        ),
    }


def _files_to_embed(scans: Sequence[ScanReport]) -> set[str]:
    """Choose the pictures that the page itself contains: the first ones that fit."""
    embedded = set()
    total_bytes = 0
    for file, png in _pictures(scans):
        total_bytes += len(png)
        if total_bytes <= MAX_EMBEDDED_PNG_BYTES:
            embedded.add(file)
    return embedded


def _pictures(scans: Sequence[ScanReport]) -> Iterator[tuple[str, bytes]]:
    """Name and content of all PNG files, in the order of the page."""
    for section in PANEL_SECTIONS:
        for scan in scans:
            for panel in scan.panels(section):
                for file, drawing in zip(panel.files, panel.pictures.values(), strict=True):
                    yield file, drawing.png
