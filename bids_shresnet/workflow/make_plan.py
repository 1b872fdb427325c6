"""From a dataset to a plan: what there is, what would be done, and all errors, before any work."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from bids_shresnet.config import Config
from bids_shresnet.errors import (
    Finding,
    NothingSelected,
    OutputError,
    ShresnetError,
    group_findings,
)
from bids_shresnet.inputs.validator import run_bids_validator
from bids_shresnet.io.file_errors import NOT_FETCHED
from bids_shresnet.outputs.model.folder import Model, has_model, models_folder, read_model
from bids_shresnet.pairs import NOT_REQUESTED, Inventory, Pair, Selection
from bids_shresnet.planning.checks.folders import check_writable
from bids_shresnet.planning.checks.protocols import Protocol, find_protocols
from bids_shresnet.planning.demands import (
    demote_findings,
    find_broken_images,
    find_unused_images,
    should_validate,
)
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.planning.dry_run import render_json, render_text
from bids_shresnet.planning.overview import make_overview
from bids_shresnet.planning.pairing import form_pairs
from bids_shresnet.planning.plan import Plan, collect_findings, log_findings, stop_at_errors
from bids_shresnet.planning.preflight import PendingWork, run_preflight, skip_finished
from bids_shresnet.planning.requirements import Requirements
from bids_shresnet.planning.selection import select_scans, stop_at_empty_selection
from bids_shresnet.runtime.workers import Workers


def make_plan(
    config: Config,
    models: Sequence[Model],
    root: Path,
    workers: Workers,
    check_start: Callable[[Plan], None] | None = None,
) -> Plan:
    """Look at the whole dataset before any work.

    A dry run prints the plan even if it has errors.

    Parameters
    ----------
    check_start
        For a dry run: what the run checks beyond the dataset.

    Raises
    ------
    BadInput, InvalidDataset
        If the dataset has errors.
    OutputError
        If the output or work folder cannot be written to.
    NothingSelected
        If there is no scan to harmonize at the participant level.
    """
    plan = inspect_dataset(config, models, root)
    folder_findings = check_writable((root, config.output.work_dir or root))
    if not folder_findings:
        protocols = find_protocols(plan.pairs, models, config.model.sh_order)
        plan = add_preflight_findings(plan, protocols, config, root, workers)
    invalid = _run_validator(config)
    if config.run.dry_run:
        plan = add_findings_of_start(plan, check_start)
    problem = find_problem(plan, folder_findings, invalid, config)
    if config.run.dry_run:
        print_plan(plan, [*folder_findings, *invalid, *_describe_empty_selection(problem)], config)
    else:
        log_findings(plan.findings)
    if problem is not None:
        problem.is_printed = config.run.dry_run
        raise problem
    return plan


def find_problem(
    plan: Plan, folder_findings: Sequence[Finding], invalid: Sequence[Finding], config: Config
) -> ShresnetError | None:
    """Return the error that ends the run before any work; None if it can start."""
    try:
        stop_at_errors(plan.findings, invalid)
        stop_at_unwritable_folders(folder_findings)
        if config.run.analysis_level == "participant" or not plan.inventory.scans:
            stop_at_empty_selection(plan.inventory, plan.selection, config.input.bids_dir)
    except ShresnetError as error:
        return error
    return None


def _describe_empty_selection(problem: ShresnetError | None) -> list[Finding]:
    if isinstance(problem, NothingSelected):
        return [Finding.error("the dataset", str(problem), "Change what is asked for.")]
    return []


def add_findings_of_start(plan: Plan, check_start: Callable[[Plan], None] | None) -> Plan:
    """Add what the run would find before its work, if the dataset has no errors."""
    findings = list(plan.findings)
    if check_start and not any(finding.severity == "error" for finding in findings):
        with collect_findings(findings):
            check_start(plan)
    return replace(plan, findings=tuple(findings))


def inspect_dataset(config: Config, models: Sequence[Model], root: Path) -> Plan:
    """Find the scans, the pairs to train and the scans to harmonize, and all that is wrong."""
    inventory = find_scans(
        config.input,
        config.scanner,
        is_identity_required=not models,
        is_dry_run=config.run.dry_run,
    )
    findings: list[Finding] = []
    pairs: tuple[Pair, ...] = ()
    if not models and _can_form_pairs(inventory):
        with collect_findings(findings):
            pairing = form_pairs(inventory, config.scanner)
            pairs = pairing.pairs
            findings += pairing.findings
    selection = Selection((), ())
    requirements: list[Requirements] = []
    if config.run.analysis_level == "participant":
        requirements += map(Requirements.of_model, models)
        with collect_findings(findings):
            requirements += [find_requirements(pair, root) for pair in pairs]
        selection = select_scans(inventory, requirements, config.input)
    unfinished = pairs
    with collect_findings(findings):
        unfinished = tuple(pair for pair in pairs if not _is_finished(pair, config, root))
    unused = find_unused_images(inventory, unfinished, selection)
    known = demote_findings(inventory.findings, unused)
    return Plan(inventory, pairs, selection, (*known, *findings), tuple(requirements))


def find_requirements(pair: Pair, root: Path) -> Requirements:
    """Return what the model of a pair asks for: that of an earlier run, or the one to train."""
    folder = models_folder(root) / pair.name
    if has_model(folder):
        return Requirements.of_model(read_model(folder))
    return Requirements.of_pair(pair)


def _is_finished(pair: Pair, config: Config, root: Path) -> bool:
    """Return whether the model of a pair stays as it is, so that no travelling scan is read."""
    folder = models_folder(root) / pair.name
    if config.model.retrain or config.run.stage == "prepare" or not has_model(folder):
        return False
    return not should_validate(config) or read_model(folder).is_validated


def _can_form_pairs(inventory: Inventory) -> bool:
    """Tell whether pairs are worth looking for: findings or flags explain unusable scans."""
    is_empty_by_request = any(scan.reason.startswith(NOT_REQUESTED) for scan in inventory.excluded)
    has_errors = any(finding.severity == "error" for finding in inventory.findings)
    return bool(inventory.scans) or not (has_errors or is_empty_by_request)


def add_preflight_findings(
    plan: Plan, protocols: Sequence[Protocol], config: Config, root: Path, workers: Workers
) -> Plan:
    """Add the findings of the preflight.

    Only a dry run checks again what an earlier run has read and used. The stages train and
    evaluate use what the stage prepare has checked.
    """
    run = config.run
    if run.stage in ("train", "evaluate") and not run.dry_run:
        return plan
    pending = PendingWork(
        plan.pairs,
        plan.selection.scans,
        output=root,
        work_dir=config.output.work_dir or root,
        protocols=tuple(protocols),
        target_scans=plan.selection.target_scans,
    )
    errors = [finding for finding in plan.findings if finding.severity == "error"]
    is_partial = run.dry_run or run.stage == "prepare"
    should_read_again = run.dry_run or config.model.retrain
    findings = run_preflight(
        pending if should_read_again else skip_finished(pending, plan.requirements),
        config.model,
        workers,
        subjects=config.input.participant_label if is_partial else (),
        broken=find_broken_images(plan.findings),
        should_read=not any(finding.value == NOT_FETCHED for finding in errors),
    )
    return replace(plan, findings=(*plan.findings, *findings))


def print_plan(plan: Plan, other_findings: Sequence[Finding], config: Config) -> None:
    """Print scanners, scans, pairs and findings as text or JSON."""
    findings = (*plan.findings, *other_findings)
    overview = make_overview(plan.inventory, plan.pairs, plan.selection, findings)
    if config.run.json:
        sys.stdout.write(render_json(overview))
    else:
        sys.stdout.write(render_text(overview, is_complete=config.run.verbose > 0))


def stop_at_unwritable_folders(findings: Sequence[Finding]) -> None:
    """Refuse an output or work folder in which nothing can be written."""
    if findings:
        raise OutputError("\n".join(map(str, group_findings(findings))))


def _run_validator(config: Config) -> list[Finding]:
    return run_bids_validator(config.input.bids_dir) if config.input.validate_bids else []
