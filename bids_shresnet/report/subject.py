"""Read the outputs of a subject and write its report, `sub-<label>.html`.

Equal files give equal pages.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from bids_shresnet.io.storage import read_json, read_tsv, write_text
from bids_shresnet.outputs.group_qc import GROUP_QC
from bids_shresnet.outputs.layout import find_harmonized_sidecars
from bids_shresnet.outputs.runs.past_runs import PROCESSED_STATUSES, RunRecord, read_last_runs
from bids_shresnet.report.figures.subjects import subject_page_name
from bids_shresnet.report.methods_text import read_methods_text
from bids_shresnet.report.pictures.gallery import is_drawn, read_gallery
from bids_shresnet.report.subject_page import render_subject_report
from bids_shresnet.report.subject_report import ScanReport, SubjectReport

logger = logging.getLogger(__name__)


def find_harmonized_subjects(root: Path) -> tuple[str, ...]:
    """Labels of the subjects that have a harmonized scan."""
    folders = [path.relative_to(root).parts[0] for path in find_harmonized_sidecars(root)]
    return tuple(folder.removeprefix("sub-") for folder in dict.fromkeys(folders))


def subjects_to_report(root: Path, rows: Collection[tuple[str, str]]) -> tuple[str, ...]:
    """Choose the subjects that a run worked on, and those without a page.

    Parameters
    ----------
    rows
        Subject and status of each scan of the run.
    """
    subjects = set()
    for subject, status in rows:
        is_page_missing = status == "up to date" and not report_path(root, subject).exists()
        if status in PROCESSED_STATUSES or is_page_missing:
            subjects.add(subject)
    return tuple(sorted(subjects))


def report_path(root: Path, subject: str) -> Path:
    """Path of a subject's page."""
    return root / subject_page_name(subject)


def write_subject_reports(root: Path, subjects: Collection[str]) -> None:
    """Write the page of each subject."""
    runs = read_last_runs(root, subjects)
    others = (
        label for label in find_harmonized_subjects(root) if report_path(root, label).exists()
    )
    order = sorted({*others, *subjects})
    for subject in subjects:
        report = read_subject(root, subject, runs.get(subject))
        report = _add_neighbours(report, order)
        write_text(report_path(root, subject), render_subject_report(report))
    logger.info("subjects with a report: %d, %s", len(subjects), report_path(root, "*"))


def read_subject(root: Path, subject: str, run: RunRecord | None) -> SubjectReport:
    """Read everything that the page of a subject shows.

    Scans that are written again at this moment are left out.

    Parameters
    ----------
    run
        The last run that worked on the subject.
    """
    scans = []
    for sidecar in find_harmonized_sidecars(root, subject):
        try:
            scans.append(_read_scan(root, sidecar))
        except FileNotFoundError:
            logger.info("%s is being written again", sidecar.name)
    return SubjectReport(
        subject=subject,
        scans=tuple(scans),
        run=run,
        methods_text=read_methods_text(root),
        has_group_report=(root / "group.html").exists(),
        has_index=(root / f"{GROUP_QC}.tsv").exists(),
    )


def _add_neighbours(report: SubjectReport, order: Sequence[str]) -> SubjectReport:
    """Add the subjects before and after, of those that have a page."""
    labels = ["", *order, ""]
    position = labels.index(report.subject)
    return replace(report, previous=labels[position - 1], following=labels[position + 1])


def _read_scan(root: Path, sidecar: Path) -> ScanReport:
    """Read a harmonized scan: its sidecar, the table next to it, and its figures."""
    record = read_json(sidecar)
    stem = sidecar.name.removesuffix("_dwi.json")
    table = sidecar.with_name(stem.replace("desc-harmonized", "desc-harmonization") + "_qc.tsv")
    subject_folder = root / sidecar.relative_to(root).parts[0]
    gallery_name = sidecar.name.replace("desc-harmonized", "desc-figures")
    gallery = subject_folder / "figures" / gallery_name
    return ScanReport(
        scan_file=Path(record["Sources"][0]).name,
        harmonization=record["Harmonization"],
        qc=tuple(read_tsv(table)) if table.exists() else (),
        gallery=read_gallery(gallery) if is_drawn(gallery) else None,
    )
