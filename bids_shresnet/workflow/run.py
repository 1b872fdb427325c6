"""The app on one page: plan, then build models, harmonize and report.

What draws or computes is imported inside a scratch folder, because libraries look for a folder for
their caches while they load, and the usual one may be read-only. A dry run loads none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bids_shresnet.config import Config
from bids_shresnet.io.description import read_pipelines
from bids_shresnet.outputs.dataset import prepare_root
from bids_shresnet.outputs.layout import output_root
from bids_shresnet.outputs.model.folder import Model, find_models
from bids_shresnet.outputs.runs.history import write_scans
from bids_shresnet.outputs.runs.run_log import Run, finish_run, start_run, write_findings
from bids_shresnet.planning.overview import make_overview
from bids_shresnet.planning.plan import Plan
from bids_shresnet.runtime.leftovers import remove_leftovers
from bids_shresnet.runtime.scratch import use_scratch_folder
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.runtime.write_guard import restrict_writing
from bids_shresnet.workflow.make_plan import make_plan


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
    with restrict_writing([root, config.output.work_dir or root]):
        return run_in_folders(config, root, invocation, workers)


def run_in_folders(config: Config, root: Path, invocation: Invocation, workers: Workers) -> int:
    """Do the same, with the output dataset in a folder that may be written to."""
    if config.run.reports_only or config.run.boilerplate_only:
        return rewrite_reports(config, root, invocation)
    config = resolve_device(config)
    models = find_models(config.model.models) if config.model.models else ()
    plan = make_plan(
        config, models, root, workers, lambda plan: check_start(plan, models, config, root)
    )
    if config.run.dry_run:
        return 0
    this_run = begin_run(root, invocation, config.input.named_datasets())
    record_plan(plan, this_run)
    with use_scratch_folder(config.output.work_dir or root, should_spool=config.resource.low_mem):
        from bids_shresnet.workflow.execute_plan import execute_plan

        results = execute_plan(plan, models, config, this_run, workers)
    return 1 if any(result.row.status == "failed" for result in results) else 0


def check_start(plan: Plan, models: Sequence[Model], config: Config, root: Path) -> None:
    """Make the checks of a run that need more than the dataset.

    Raises
    ------
    ShresnetError
        As the run would.
    """
    if models and config.run.analysis_level == "participant":
        from bids_shresnet.workflow.execute_plan import check_models

        check_models(models, config.model)
    if config.run.stage != "all":
        from bids_shresnet.workflow.build_models import check_stage
        from bids_shresnet.workflow.pair_work import PairWork

        check_stage([PairWork(pair, config, root) for pair in plan.pairs], config)


def rewrite_reports(config: Config, root: Path, invocation: Invocation) -> int:
    """Write the reports or the methods text again, from the output alone."""
    with use_scratch_folder(config.output.work_dir or root):
        from bids_shresnet.workflow.write_reports import find_reportable_results, write_reports

        results = find_reportable_results(config, root)
        this_run = begin_run(root, invocation, {})
        try:
            write_reports(results, config, this_run)
        finally:
            finish_run(this_run, [])
    return 0


def resolve_device(config: Config) -> Config:
    """Replace `auto` by a device that exists. On the CPU torch is not asked: it loads slowly."""
    if config.resource.device == "cpu":
        return config
    from bids_shresnet.network.devices import select_device

    device = select_device(config.resource.device)
    return replace(config, resource=replace(config.resource, device=device))


def begin_run(root: Path, invocation: Invocation, datasets: Mapping[str, Path]) -> Run:
    """Make the output a dataset and begin the record of this run.

    `datasets` are the inputs that scans are made from, by name: none if reports are rewritten.
    """
    pipelines = [pipeline for path in datasets.values() for pipeline in read_pipelines(path)]
    prepare_root(root, datasets, pipelines)
    folders = [path for name in ("logs", "prov", "figures") for path in root.glob(name)]
    remove_leftovers(root, *folders, *root.glob("logs/*"), *root.glob("models/*"))
    return start_run(root, invocation.settings, invocation.command)


def record_plan(plan: Plan, this_run: Run) -> None:
    """Write the findings and the scans of the plan."""
    overview = make_overview(plan.inventory, plan.pairs, plan.selection, plan.findings)
    write_findings(this_run, plan.findings)
    write_scans(this_run, overview.scans)
