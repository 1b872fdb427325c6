"""The story on one page: command line in, the steps in order, exit code out."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bids_shresnet.cli.parser import log_to_screen, parse_levels
from bids_shresnet.errors import IO_ERROR_EXIT_CODE, Interrupted, ShresnetError
from bids_shresnet.runtime.resources import MB, peak_memory
from bids_shresnet.runtime.scratch import use_scratch_folder
from bids_shresnet.runtime.signals import interrupt_on_signals
from bids_shresnet.runtime.workers import Workers, set_up_process
from bids_shresnet.version import __version__

if (
    TYPE_CHECKING
):  # the steps load torch and pybids: seconds that --help and --version must not take
    from bids_shresnet.config import Config
    from bids_shresnet.outputs.model_folder import Model
    from bids_shresnet.outputs.run_log import Run
    from bids_shresnet.planning.plan import Plan
    from bids_shresnet.workflow.harmonize_scans import ScanResult

logger = logging.getLogger("bids_shresnet")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app and return its exit code (the BIDS execution specification's; see errors.py)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--version" in arguments:
        sys.stdout.write(f"bids_shresnet {__version__}\n")
        return 0
    if "--bids-exec-spec" in arguments:
        from bids_shresnet.cli.boutiques import make_descriptor

        sys.stdout.write(json.dumps(make_descriptor(), indent=2) + "\n")
        return 0
    try:
        return max([run_with_logging(config, arguments) for config in parse_levels(arguments)])
    except (ShresnetError, Interrupted) as error:
        sys.stderr.write(f"bids-shresnet: {error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"bids-shresnet: reading or writing failed: {error}\n")
        return IO_ERROR_EXIT_CODE


def run_with_logging(config: Config, arguments: Sequence[str]) -> int:
    """Run one analysis level and say on the screen what happens."""
    with log_to_screen(config.verbose), interrupt_on_signals():
        return run(config, arguments)


def run(config: Config, arguments: Sequence[str]) -> int:
    """Look at the data, then do what is to be done; a dry run and rewritten reports end here."""
    workers = replace(
        Workers.from_limits(config.nprocs, config.omp_nthreads, config.memory),
        has_progress_bars=not config.json,
    )
    logger.debug("bids_shresnet %s, %s", __version__, workers)
    set_up_process(workers.threads)
    from bids_shresnet.outputs.layout import output_root
    from bids_shresnet.outputs.model_folder import find_models
    from bids_shresnet.planning.plan import make_plan

    root = output_root(config.output_dir)
    if config.reports_only or config.boilerplate_only:
        return rewrite_reports(config, root, arguments)
    usable = resolve_device(config)
    models = find_models(config.models) if config.models else ()
    plan = make_plan(usable, models, root, workers)
    if config.dry_run:
        return 0
    this_run = begin_run(root, config, arguments)
    with use_scratch_folder(config.work_dir or root, should_spool=config.low_mem):
        return execute_plan(plan, models, usable, this_run, workers)


def execute_plan(
    plan: Plan, models: Sequence[Model], config: Config, this_run: Run, workers: Workers
) -> int:
    """Train what is missing; at the participant level harmonize and derive, in a group cross-validate."""
    from bids_shresnet.outputs.history import write_scans
    from bids_shresnet.outputs.run_log import finish_run, write_findings
    from bids_shresnet.planning.overview import make_overview
    from bids_shresnet.report.methods_text import write_methods_text
    from bids_shresnet.workflow.build_models import build_models
    from bids_shresnet.workflow.harmonize_scans import (
        check_validation,
        harmonize_scans,
        log_summary,
        write_crash_reports,
    )
    from bids_shresnet.workflow.write_reports import report_models, report_subjects

    root = this_run.root
    write_findings(this_run, plan.findings)
    write_scans(
        this_run, make_overview(plan.inventory, plan.pairs, plan.selection, plan.findings).scans
    )
    outcomes: list[ScanResult] = []
    try:
        models = models or build_models(plan.pairs, config, root, workers)
        if not models:  # only a stage on the way to them was asked for
            return 0
        write_methods_text(root, models)
        if config.analysis_level == "participant":
            check_validation(models, config)
            outcomes = harmonize_scans(plan, models, config, root, workers)
            write_crash_reports(this_run, outcomes)
        elif config.validation:
            report_models(models, root, this_run.command)
        log_summary([outcome.row for outcome in outcomes], models, root)
    finally:
        logger.info("memory: at most %d MB a process", peak_memory() / MB)
        written = [outcome.written_dwi for outcome in outcomes if outcome.written_dwi is not None]
        finish_run(this_run, [outcome.row for outcome in outcomes], written)
    report_subjects(this_run, [outcome.row for outcome in outcomes])
    return 1 if any(outcome.row.status == "failed" for outcome in outcomes) else 0


def begin_run(root: Path, config: Config, arguments: Sequence[str]) -> Run:
    """Make the output a dataset and begin the record of this run."""
    from bids_shresnet.cli.config_file import to_record
    from bids_shresnet.io.description import read_pipelines
    from bids_shresnet.outputs.dataset import prepare_root
    from bids_shresnet.outputs.run_log import start_run

    datasets = config.named_datasets()
    prepare_root(
        root,
        datasets,
        [pipeline for path in datasets.values() for pipeline in read_pipelines(path)],
    )
    return start_run(root, to_record(config), ["bids-shresnet", *arguments])


def resolve_device(config: Config) -> Config:
    """The same with a device that is there; torch, which takes seconds to load, is not asked about the CPU."""
    if config.device == "cpu":
        return config
    from bids_shresnet.network.devices import select_device

    return replace(config, device=select_device(config.device))


def rewrite_reports(config: Config, root: Path, arguments: Sequence[str]) -> int:
    """Write the reports or the methods text from what is there."""
    from bids_shresnet.outputs.run_log import finish_run
    from bids_shresnet.workflow.write_reports import find_reportable_results, write_reports

    found = find_reportable_results(config, root)
    this_run = begin_run(root, config, arguments)
    try:
        write_reports(found, config, this_run)
    finally:
        finish_run(this_run, [])
    return 0
