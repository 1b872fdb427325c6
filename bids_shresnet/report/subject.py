"""Report: what lies in the output of a subject -> sub-<label>.html; from equal files, equal pages."""

from __future__ import annotations

import logging
from collections.abc import Collection
from pathlib import Path

from bids_shresnet.io.storage import read_json, read_tsv, write_text
from bids_shresnet.outputs.past_runs import PROCESSED_STATUSES, RunRecord, read_last_runs
from bids_shresnet.report.methods_text import read_methods_text
from bids_shresnet.report.pictures.gallery import is_drawn, read_gallery
from bids_shresnet.report.subject_page import ScanReport, SubjectReport, render_subject_report

HARMONIZED_SIDECAR_GLOB = "**/dwi/*_desc-harmonized*_dwi.json"

logger = logging.getLogger(__name__)


def find_harmonized_subjects(root: Path) -> tuple[str, ...]:
    """Labels of the subjects that have a harmonized scan."""
    return tuple(
        folder.name.removeprefix("sub-")
        for folder in sorted(root.glob("sub-*/"))
        if any(folder.glob(HARMONIZED_SIDECAR_GLOB))
    )


def report_path(root: Path, subject: str) -> Path:
    """Of the page."""
    return root / f"sub-{subject}.html"


def write_subject_reports(root: Path, subjects: Collection[str]) -> None:
    """Write the page of each subject."""
    runs = read_last_runs(root, subjects)
    for subject in subjects:
        write_text(
            report_path(root, subject),
            render_subject_report(read_subject(root, subject, runs.get(subject))),
        )
    logger.info("reports: %d subjects, %s", len(subjects), report_path(root, "*"))


def read_subject(root: Path, subject: str, run: RunRecord | None) -> SubjectReport:
    """All that the page says, from the files of the subject and of the last run that worked on it."""
    return SubjectReport(
        subject=subject,
        scans=tuple(
            _read_scan(root, path)
            for path in sorted((root / f"sub-{subject}").glob(HARMONIZED_SIDECAR_GLOB))
        ),
        run=run,
        methods_text=read_methods_text(root),
        has_group_report=(root / "group.html").exists(),
    )


def _read_scan(root: Path, sidecar: Path) -> ScanReport:
    """A harmonized scan by its sidecar; beside it lie its numbers, and its figures in the subject's folder."""
    record = read_json(sidecar)
    stem = sidecar.name.removesuffix("_dwi.json")
    table = sidecar.with_name(stem.replace("desc-harmonized", "desc-harmonization") + "_qc.tsv")
    subject = sidecar.relative_to(root).parts[0]
    gallery = root / subject / "figures" / sidecar.name.replace("desc-harmonized", "desc-figures")
    return ScanReport(
        scan_file=Path(record["Sources"][0]).name,
        harmonization=record["Harmonization"],
        qc=tuple(read_tsv(table)) if table.exists() else (),
        gallery=read_gallery(gallery) if is_drawn(gallery) else None,
    )


def subjects_to_report(root: Path, rows: Collection[tuple[str, str]]) -> tuple[str, ...]:
    """Subjects, of (subject, status) rows of a run, that it worked on or that lack their page."""
    touched = {
        s
        for s, status in rows
        if status in PROCESSED_STATUSES
        or (status == "up to date" and not report_path(root, s).exists())
    }
    return tuple(sorted(touched))
