"""Pages for people, from what lies in the output: group.html, a page for each subject, and the methods text."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.config import Config
from bids_shresnet.errors import NothingSelected
from bids_shresnet.evaluation.cross_validation import read_cross_validation
from bids_shresnet.outputs.model_folder import Model, find_models
from bids_shresnet.outputs.run_log import Run, ScanStatus
from bids_shresnet.report.group import write_group_report
from bids_shresnet.report.methods_text import write_methods_text
from bids_shresnet.report.subject import (
    find_harmonized_subjects,
    report_path,
    subjects_to_report,
    write_subject_reports,
)
from bids_shresnet.runtime.scratch import use_scratch_folder

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReportableResults:
    """What an output has to report: cross-validated models, and subjects of which a scan was harmonized."""

    models: tuple[Model, ...]
    subjects: tuple[str, ...]

    @property
    def validated_models(self) -> list[Model]:
        """The models that were cross-validated."""
        return [model for model in self.models if model.card.validation]


def find_reportable_results(config: Config, root: Path) -> ReportableResults:
    """Look for what can be written again.

    Raises
    ------
    NothingSelected
        If reports are asked for and there is nothing to report.
    """
    subjects = tuple(
        s for s in find_harmonized_subjects(root) if s in (config.input.participant_label or [s])
    )
    found = ReportableResults(tuple(find_models(config.model.models or root / "models")), subjects)
    if config.run.reports_only and not found.validated_models and not subjects:
        msg = f"no model in {root} was cross-validated and no scan harmonized, so there is nothing to report"
        raise NothingSelected(msg)
    return found


def write_reports(results: ReportableResults, config: Config, this_run: Run) -> None:
    """Write the methods text and, if asked for, the pages."""
    root = this_run.root
    write_methods_text(root, results.models)
    if config.run.reports_only:
        with use_scratch_folder(config.output.work_dir or root):
            write_subject_reports(root, results.subjects)
            if results.validated_models:  # last: it leads to the pages that are there
                report_models(results.validated_models, root, this_run.command)


def report_models(models: Sequence[Model], root: Path, command: str) -> None:
    """Tables, figures and group.html from what lies in the models' folders."""
    for line in write_group_report(
        root, [read_cross_validation(model) for model in models if model.card.validation], command
    ):
        logger.info("%s", line)


def report_subjects(this_run: Run, rows: Sequence[ScanStatus]) -> None:
    """A page for each subject of which a scan was worked on; group.html, if it is there, leads to the new ones."""
    root = this_run.root
    subjects = subjects_to_report(root, [(row.subject, row.status) for row in rows])
    new = [subject for subject in subjects if not report_path(root, subject).exists()]
    if subjects:
        write_subject_reports(root, subjects)
    if new and (root / "group.html").exists():
        report_models(find_models(root / "models"), root, this_run.command)
