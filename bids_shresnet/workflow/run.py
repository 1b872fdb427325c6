"""The app on one page: find scans, plan, build models, harmonize, report."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_shresnet.config import Config
from bids_shresnet.io.description import read_pipelines
from bids_shresnet.network.devices import select_device
from bids_shresnet.outputs.dataset import prepare_root
from bids_shresnet.outputs.history import write_scans
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.outputs.model_folder import Model, find_models
from bids_shresnet.outputs.run_log import Run, finish_run, start_run, write_findings
from bids_shresnet.planning.overview import make_overview
from bids_shresnet.planning.plan import Plan
from bids_shresnet.report.methods_text import write_methods_text
from bids_shresnet.runtime.resources import MB, peak_memory
from bids_shresnet.runtime.scratch import use_scratch_folder
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.workflow.build_models import build_models
from bids_shresnet.workflow.harmonize_scans import (
    ScanResult,
    check_validation,
    harmonize_scans,
    log_summary,
    write_crash_reports,
)
from bids_shresnet.workflow.make_plan import make_plan
from bids_shresnet.workflow.write_reports import (
    find_reportable_results,
    report_models,
    report_subjects,
    write_reports,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Invocation:
    """The command line of a run, and its settings as config.json keeps them."""

    command: tuple[str, ...]
    settings: Mapping[str, Any]


def run(config: Config, invocation: Invocation, workers: Workers) -> int:
    """Plan the work and do it; return the exit code.

    A dry run ends with the plan. --reports-only and --boilerplate-only need no plan.
    """
    root = output_root(config.output.output_dir)
    if config.run.reports_only or config.run.boilerplate_only:
        return rewrite_reports(config, root, invocation)
    device = select_device(config.resource.device)
    config = replace(config, resource=replace(config.resource, device=device))
    models = find_models(config.model.models) if config.model.models else ()
    plan = make_plan(config, models, root, workers)
    if config.run.dry_run:
        return 0
    this_run = begin_run(config, root, invocation)
    record_plan(plan, this_run)
    with use_scratch_folder(config.output.work_dir or root, should_spool=config.resource.low_mem):
        results = execute_plan(plan, models, config, this_run, workers)
    return 1 if any(result.row.status == "failed" for result in results) else 0


def rewrite_reports(config: Config, root: Path, invocation: Invocation) -> int:
    """Write the reports or the methods text again, from the output alone."""
    results = find_reportable_results(config, root)
    this_run = begin_run(config, root, invocation)
    try:
        write_reports(results, config, this_run)
    finally:
        finish_run(this_run, [])
    return 0


def begin_run(config: Config, root: Path, invocation: Invocation) -> Run:
    """Make the output a dataset and begin the record of this run."""
    datasets = config.input.named_datasets()
    pipelines = [pipeline for path in datasets.values() for pipeline in read_pipelines(path)]
    prepare_root(root, datasets, pipelines)
    return start_run(root, invocation.settings, invocation.command)


def record_plan(plan: Plan, this_run: Run) -> None:
    """Write the findings and the scans of the plan."""
    overview = make_overview(plan.inventory, plan.pairs, plan.selection, plan.findings)
    write_findings(this_run, plan.findings)
    write_scans(this_run, overview.scans)


def execute_plan(
    plan: Plan, models: Sequence[Model], config: Config, this_run: Run, workers: Workers
) -> list[ScanResult]:
    """Build the models that are missing and use them; finish the record of the run in any case."""
    results: list[ScanResult] = []
    try:
        models = models or build_models(plan.pairs, config, this_run.root, workers)
        if models:  # there are none yet after the stages prepare and train
            results = use_models(plan, models, config, this_run, workers)
    finally:
        logger.info("memory: at most %d MB a process", peak_memory() / MB)
        finish_run(this_run, [result.row for result in results])
    report_subjects(this_run, [result.row for result in results])
    return results


def use_models(
    plan: Plan, models: Sequence[Model], config: Config, this_run: Run, workers: Workers
) -> list[ScanResult]:
    """Harmonize scans at the participant level; report the validation of models at group level."""
    root = this_run.root
    results: list[ScanResult] = []
    write_methods_text(root, models)
    if config.run.analysis_level == "participant":
        check_validation(models, config.model)
        results = harmonize_scans(plan, models, config, root, workers)
        write_crash_reports(this_run, results)
    elif config.model.validation:
        report_models(models, root, this_run.command)
    log_summary([result.row for result in results], models, root)
    return results
