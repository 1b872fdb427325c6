"""From a dataset to a plan: what there is, what would be done, and all that is wrong, before any work."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bids_shresnet.config import Config
from bids_shresnet.errors import BadInput, Finding, InvalidDataset, OutputError
from bids_shresnet.inputs.validator import run_bids_validator
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.pairs import Inventory, Pair, Selection
from bids_shresnet.planning.checks.dwi_files import merge_findings
from bids_shresnet.planning.checks.folders import check_writable
from bids_shresnet.planning.discover import find_scans
from bids_shresnet.planning.dry_run import render_json, render_text
from bids_shresnet.planning.overview import make_overview
from bids_shresnet.planning.pairing import form_pairs
from bids_shresnet.planning.preflight import PendingWork, run_preflight, skip_finished
from bids_shresnet.planning.selection import select_scans, stop_at_empty_selection
from bids_shresnet.runtime.workers import Workers

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """What the dataset lets us do, and all that is wrong or odd."""

    inventory: Inventory
    pairs: tuple[Pair, ...]
    selection: Selection
    findings: tuple[Finding, ...]


def make_plan(config: Config, models: Sequence[Model], root: Path, workers: Workers) -> Plan:
    """Look at the whole dataset before any work; a dry run shows what was found even where it cannot be used."""
    plan = add_preflight_findings(inspect_dataset(config, models), config, root, workers)
    invalid = run_bids_validator(config.bids_dir) if config.validate_bids else []
    if config.dry_run:
        found = make_overview(
            plan.inventory, plan.pairs, plan.selection, merge_findings([*plan.findings, *invalid])
        )
        sys.stdout.write(render_json(found) if config.json else render_text(found))
    stop_at_errors(plan.findings, merge_findings(invalid))
    stop_at_unwritable_folders(config, root)
    if config.analysis_level == "participant":
        stop_at_empty_selection(plan.inventory, plan.selection, config.bids_dir)
    return plan


def inspect_dataset(config: Config, models: Sequence[Model]) -> Plan:
    """Find scans and pairs, and collect all that is wrong with them."""
    inventory = find_scans(config, is_identity_required=not models)
    plan = Plan(inventory, (), Selection((), ()), inventory.findings)
    findings = list(inventory.findings)
    if not models and (
        inventory.scans or not findings
    ):  # of unusable scans it is said already why there is no pair
        with collect_findings(findings):
            plan = replace(plan, pairs=form_pairs(inventory, config))
    if config.analysis_level == "participant":
        routes = [(m.source, m.target) for m in models] + [
            (p.source.label, p.target.label) for p in plan.pairs
        ]
        plan = replace(plan, selection=select_scans(inventory, routes, config))
    return replace(plan, findings=tuple(findings))


def add_preflight_findings(plan: Plan, config: Config, root: Path, workers: Workers) -> Plan:
    """Add what the preflight finds; a real run leaves out what an earlier one has read and used."""
    if (
        config.stage in ("train", "evaluate") and not config.dry_run
    ):  # what was prepared was looked at then
        return plan
    ahead = PendingWork(plan.pairs, plan.selection.scans, root, config.work_dir or root)
    broken = {finding.file for finding in plan.findings if finding.severity == "error"}
    found = run_preflight(
        ahead if config.dry_run else skip_finished(ahead), config, workers, broken
    )
    return replace(plan, findings=merge_findings([*plan.findings, *found]))


def stop_at_unwritable_folders(config: Config, root: Path) -> None:
    """Refuse an output or work folder in which nothing can be written."""
    if closed := check_writable((root, config.work_dir or root)):
        raise OutputError("\n".join(map(str, closed)))


@contextmanager
def collect_findings(findings: list[Finding]) -> Iterator[None]:
    """Keep what is wrong for later, so that all of it can be listed at once."""
    try:
        yield
    except BadInput as error:
        findings.extend(error.findings)


def stop_at_errors(findings: Sequence[Finding], validator_findings: Sequence[Finding] = ()) -> None:
    """Log what is odd about the dataset; raise all that is wrong with it at once, with what is `invalid` for BIDS."""
    for finding in findings:
        if finding.severity != "error":
            level = logging.WARNING if finding.severity == "warning" else logging.DEBUG
            logger.log(level, "%s: %s. %s", finding.file, finding.value, finding.remedy)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        raise BadInput([*errors, *validator_findings])
    if validator_findings:
        raise InvalidDataset(validator_findings)
