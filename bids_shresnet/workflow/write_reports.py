"""Write reports from the output: group.html, subject pages, a table of scans, the methods text."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.config import Config
from bids_shresnet.errors import NothingSelected
from bids_shresnet.evaluation.cross_validation import read_cross_validation
from bids_shresnet.outputs.group_qc import write_group_qc
from bids_shresnet.outputs.model.folder import Model, find_models, models_folder
from bids_shresnet.outputs.runs.run_log import Run, ScanStatus
from bids_shresnet.report.group import write_group_report
from bids_shresnet.report.methods_text import write_methods_text
from bids_shresnet.report.scan_index import write_index
from bids_shresnet.report.subject import (
    find_harmonized_subjects,
    report_path,
    subjects_to_report,
    write_subject_reports,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportableResults:
    """Contents of an output: models, and subjects with a harmonized scan."""

    models: tuple[Model, ...]
    subjects: tuple[str, ...]

    @property
    def validated_models(self) -> list[Model]:
        """The models that were cross-validated."""
        return [model for model in self.models if model.is_validated]


def find_reportable_results(config: Config, root: Path) -> ReportableResults:
    """Find the results in the output that reports can be written of.

    Raises
    ------
    NothingSelected
        If reports are requested and there is nothing to report.
    """
    subjects = find_harmonized_subjects(root)
    if labels := config.input.participant_label:
        subjects = tuple(subject for subject in subjects if subject in labels)
    models = find_models(config.model.models or models_folder(root))
    results = ReportableResults(tuple(models), subjects)
    if config.run.reports_only and not results.validated_models and not subjects:
        msg = (
            f"no model in {root} was cross-validated and no scan harmonized, "
            f"so there is nothing to report"
        )
        raise NothingSelected(msg)
    return results


def write_reports(results: ReportableResults, config: Config, this_run: Run) -> None:
    """Write the table of all scans, the methods text and, with --reports-only, the pages."""
    root = this_run.root
    if results.subjects:
        write_group_qc(root)
    write_methods_text(root, results.models)
    if config.run.reports_only:
        write_subject_reports(root, results.subjects)
        if results.validated_models:  # last: it links to the pages that exist
            report_models(results.validated_models, root, this_run.command)
        else:
            write_index(root)


def report_models(models: Sequence[Model], root: Path, command: str) -> None:
    """Write tables, figures and group.html, and log their summary."""
    logger.info("group.html is being written")
    cross_validations = [read_cross_validation(model) for model in models if model.is_validated]
    for line in write_group_report(root, cross_validations, command):
        logger.info("%s", line)
    write_index(root)


def report_subjects(this_run: Run, rows: Sequence[ScanStatus]) -> None:
    """Write the pages of the subjects of this run, and link new ones in an existing group.html."""
    root = this_run.root
    subjects = subjects_to_report(root, [(row.subject, row.status) for row in rows])
    new = [subject for subject in subjects if not report_path(root, subject).exists()]
    if subjects:
        write_subject_reports(root, subjects)
        write_index(root)
    if new and (root / "group.html").exists():
        report_models(find_models(models_folder(root)), root, this_run.command)
