"""Carry a plan out: check or build models, harmonize scans, write reports."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from bids_shresnet.config import Config, ModelSettings
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.evaluation.validation import unvalidated_reasons
from bids_shresnet.harmonization.check_networks import check_networks
from bids_shresnet.harmonization.options import applicable_method
from bids_shresnet.io.storage import NOT_AVAILABLE, read_tsv
from bids_shresnet.outputs.group_qc import TARGET_ROLE, write_group_qc
from bids_shresnet.outputs.group_scalars import write_group_scalars
from bids_shresnet.outputs.model.folder import REGISTRATION_TSV, Model, models_folder
from bids_shresnet.outputs.runs.run_log import Run, ScanStatus, finish_run, record_status
from bids_shresnet.pairs import NOT_TRAINED_ON, Pair
from bids_shresnet.planning.plan import Plan
from bids_shresnet.report.methods_text import write_methods_text
from bids_shresnet.runtime.resources import MB, peak_memory
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.workflow.build_models import build_models
from bids_shresnet.workflow.harmonize_scans import (
    ScanResult,
    harmonize_scans,
    log_summary,
    status_row,
)
from bids_shresnet.workflow.write_reports import report_models, report_subjects

logger = logging.getLogger(__name__)


def execute_plan(
    plan: Plan, models: Sequence[Model], config: Config, this_run: Run, workers: Workers
) -> list[ScanResult]:
    """Build the models that are missing and use them; finish the record of the run in any case."""
    results: list[ScanResult] = []
    try:
        with workers.keep_processes() as workers:
            models = models or build_models(plan.pairs, config, this_run.root, workers)
            record_status(this_run, excluded_head_rows(plan.pairs, this_run.root))
            if models:  # there are none yet after the stages prepare and train
                results = use_models(plan, models, config, this_run, workers)
    finally:
        logger.info("memory: at most %d MB per process", peak_memory() / MB)
        finish_run(this_run)
    harmonized = [result.row for result in results if result.row.role != TARGET_ROLE]
    report_subjects(this_run, harmonized)
    return results


def excluded_head_rows(pairs: Sequence[Pair], root: Path) -> list[ScanStatus]:
    """Describe the travelling subjects that models were trained without, two scans for each."""
    rows = []
    for pair in pairs:
        table = models_folder(root) / pair.name / REGISTRATION_TSV
        registrations = read_tsv(table) if table.exists() else []
        reasons = {row["subject"]: row["excluded"] for row in registrations}
        for scans in pair.travelling_scans:
            reason = reasons.get(scans[0].subject, NOT_AVAILABLE)
            if reason != NOT_AVAILABLE:
                text = f"{NOT_TRAINED_ON} for {pair.name}: {reason}"
                rows += [status_row(scan, "excluded", text) for scan in scans]
    return rows


def use_models(
    plan: Plan, models: Sequence[Model], config: Config, this_run: Run, workers: Workers
) -> list[ScanResult]:
    """Harmonize scans at the participant level; report the validation of models at group level."""
    root = this_run.root
    results: list[ScanResult] = []
    if config.run.analysis_level == "participant":
        check_models(models, config.model)
        results = harmonize_scans(plan, models, config, this_run, workers)
        write_group_qc(root)
        write_group_scalars(root)
    write_methods_text(root, models)  # it counts the harmonized scans
    if config.run.analysis_level == "group" and config.model.validation:
        report_models(models, root, this_run.command)
    log_summary([result.row for result in results], models, root)
    return results


def check_models(models: Sequence[Model], settings: ModelSettings) -> None:
    """Check that models are validated, if that is required, and that their networks predict.

    Raises
    ------
    BadInput
        If a model cannot be used.
    """
    check_validation(models, settings)
    for model in models:
        check_networks(model)


def check_validation(models: Sequence[Model], settings: ModelSettings) -> None:
    """Warn about models that are not validated, or refuse them with --require-validation.

    Raises
    ------
    BadInput
        If a model is refused.
    """
    findings: list[Finding] = []
    for model in models:
        method = applicable_method(model, settings.method)
        findings += unvalidated_reasons(model, method)
    if findings and settings.require_validation:
        raise BadInput(findings)
    for finding in findings:
        logger.warning("%s: %s. %s", finding.file, finding.value, finding.remedy)
