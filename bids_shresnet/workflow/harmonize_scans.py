"""From models to harmonized scans: rewrite every scan, derive FA and MD, picture it, and say what became of it."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bids_shresnet.config import Config
from bids_shresnet.errors import BadInput, NothingSelected
from bids_shresnet.evaluation.verdicts import doubts
from bids_shresnet.harmonization.derive import DeriveJob, derive
from bids_shresnet.harmonization.harmonize import HarmonizeJob, harmonize, jobs_for
from bids_shresnet.harmonization.predict import method_for
from bids_shresnet.inputs.index import take_apart
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.outputs.run_log import Run, Status, write_crash
from bids_shresnet.planning.memory import of_scans
from bids_shresnet.planning.pairing import rank
from bids_shresnet.report.pictures.draw import PictureJob, picture
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.scans import Scan

if TYPE_CHECKING:  # pybids takes seconds to load, and workers do not need it
    from bids_shresnet.planning.plan import Plan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What became of one scan: its line in status.tsv, the DWI if one was written, the traceback if it failed."""

    row: Status
    written: Path | None = None
    details: str = ""


@dataclass(frozen=True)
class ScanTask:
    """A scan to harmonize, and the same head on the target scanner, if it was measured there, to show beside it."""

    job: HarmonizeJob
    measured: Scan | None

    @property
    def scans(self) -> tuple[Scan, ...]:
        """What is read."""
        return (self.job.scan, self.measured) if self.measured else (self.job.scan,)


def warn_of_unproven(models: Sequence[Model], config: Config) -> None:
    """Say which models are not proven to be better than doing nothing; refuse them if asked to."""
    found = [doubt for model in models for doubt in doubts(model, method_for(model, config.method))]
    if found and config.require_proof:
        raise BadInput(found)
    for doubt in found:
        logger.warning("%s: %s. %s", doubt.file, doubt.value, doubt.remedy)


def harmonized(plan: Plan, models: Sequence[Model], config: Config, root: Path, workers: Workers) -> list[Outcome]:
    """Harmonize and derive every scan; what fails is said in its row, and the others go on."""
    ranked, scanners = rank(plan.inventory), {scan.image: scan.scanner_label for scan in plan.inventory.scans}
    targets = {model.folder: model.target for model in models}
    jobs, unfit = jobs_for(plan.selection.scans, models, config, root)
    left_out = (*plan.inventory.left_out, *plan.selection.left_out, *unfit)
    if not jobs:
        msg = "no scan fits a model:" + "".join(f"\n  {item.file.name}: {item.reason}" for item in left_out)
        raise NothingSelected(msg)
    outcomes = [Outcome(row(item.file, scanners.get(item.file, ""), "left out", item.reason)) for item in left_out]
    tasks = [ScanTask(job, next(iter(ranked.get((targets[job.model], job.scan.subject), ())), None)) for job in jobs]
    need = of_scans((scan for task in tasks for scan in task.scans), low=config.low_mem)
    results = workers.run(one_scan, tasks, need)
    for count, (_, outcome) in enumerate(results, 1):
        logger.info("%s: %s (%d of %d)", outcome.row.file, outcome.row.status, count, len(jobs))
        if outcome.details:
            logger.error("%s", outcome.details)
        outcomes.append(outcome)
        if config.stop_on_first_crash and outcome.row.status == "failed":
            logger.error(
                "stopped at the first scan that failed; %d scans were not begun or not waited for", len(jobs) - count
            )
            break
    return outcomes


def one_scan(task: ScanTask) -> Outcome:
    """Harmonize, derive and picture one scan."""
    job = task.job
    try:
        written = harmonize(job)
        derived = derive(DeriveJob(job.scan, job.root, job.desc))
        pictured = picture(PictureJob(job.scan, task.measured, job.root, job.desc))
    except Exception as error:  # one bad scan must not end the others; it is reported and fails the run
        reason = f"{type(error).__name__}: {error}"
        failed = row(job.scan.image, job.scan.scanner_label, "failed", reason)
        return Outcome(failed, details=traceback.format_exc())
    status = row(job.scan.image, job.scan.scanner_label, "done" if written or derived or pictured else "kept")
    return Outcome(status, job.output(".nii.gz") if written else None)


def row(file: Path, scanner: str, status: Literal["done", "kept", "left out", "failed"], reason: str = "") -> Status:
    """A line of status.tsv."""
    entities = take_apart(file).entities
    return Status(entities.get("subject", ""), entities.get("session", ""), file.name, status, reason, scanner)


def outcome_of(item: Status) -> str:
    """What became of one scan, and why."""
    return f"{item.file} {item.status}" + f" ({item.reason})" * bool(item.reason)


def say_the_end(rows: Sequence[Status], models: Sequence[Model], root: Path) -> None:
    """One line a subject, with what became of its scans and why, and one for all."""
    for subject in dict.fromkeys(item.subject for item in rows):
        own = [item for item in rows if item.subject == subject]
        failed = any(item.status == "failed" for item in own)
        logger.log(logging.ERROR if failed else logging.INFO, "sub-%s: %s", subject, "; ".join(map(outcome_of, own)))
    counts = Counter(item.status for item in rows)
    if counts["kept"] and not counts["done"] and not counts["failed"]:
        logger.info("nothing to do: %d scans are complete and up to date in %s", counts["kept"], root)
        return
    scans = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none asked for"
    logger.info("models: %s; scans: %s; results: %s", ", ".join(model.name for model in models), scans, root)


def report_crashes(this_run: Run, outcomes: Sequence[Outcome]) -> None:
    """Keep the tracebacks of scans that failed beside their line in status.tsv."""
    for outcome in outcomes:
        if outcome.details:
            write_crash(this_run, outcome.row.file.split(".")[0], outcome.details)
