"""From models to harmonized scans: harmonize each scan and draw pictures."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bids_shresnet.config import Config
from bids_shresnet.errors import NothingSelected, ShresnetError
from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.harmonization.jobs import HarmonizeJob, make_harmonize_jobs
from bids_shresnet.harmonization.options import HarmonizeOptions
from bids_shresnet.harmonization.scalar_stats import write_scalar_stats
from bids_shresnet.harmonization.target_scan import (
    TargetJob,
    make_target_jobs,
    write_target_scan,
)
from bids_shresnet.outputs.group_qc import HARMONIZED_ROLE, TARGET_ROLE
from bids_shresnet.outputs.model.folder import Model, read_model
from bids_shresnet.outputs.runs.run_log import (
    Run,
    ScanStatus,
    record_status,
    write_crash_report,
)
from bids_shresnet.outputs.stamps import hold_scan_lock
from bids_shresnet.pairs import NOT_REQUESTED, ExcludedScan
from bids_shresnet.planning.memory import memory_for_scans
from bids_shresnet.planning.plan import Plan
from bids_shresnet.planning.ranking import rank_scans
from bids_shresnet.planning.requirements import Requirements
from bids_shresnet.report.pictures.draw import PictureJob, write_pictures
from bids_shresnet.runtime.workers import KILLED_MESSAGE, Workers
from bids_shresnet.scans import Scan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScanResult:
    """The row of a scan in status.tsv, and the traceback if it failed."""

    row: ScanStatus
    crash_report: str = ""


@dataclass(frozen=True)
class ScanJob:
    """A scan to work on.

    Attributes
    ----------
    job
        The scan to harmonize, or the scan of the target to fit.
    target_scan
        The subject's scan of the target scanner, for the pictures of a harmonized scan.
    """

    job: HarmonizeJob | TargetJob
    target_scan: Scan | None = None

    @property
    def role(self) -> str:
        """Why the scan is in the analysis set."""
        return TARGET_ROLE if isinstance(self.job, TargetJob) else HARMONIZED_ROLE

    @property
    def scans(self) -> tuple[Scan, ...]:
        """Scans to read."""
        return (self.job.scan, self.target_scan) if self.target_scan else (self.job.scan,)


def harmonize_scans(
    plan: Plan, models: Sequence[Model], config: Config, this_run: Run, workers: Workers
) -> list[ScanResult]:
    """Harmonize every scan of the plan and fit those of the targets.

    A scan that fails does not stop the others. The record of the run grows with each scan.

    Raises
    ------
    NothingSelected
        If no scan fits a model.
    """
    jobs, unfit = make_harmonize_jobs(
        plan.selection.scans,
        models,
        options=make_harmonize_options(config),
        bids_dir=config.input.bids_dir,
        root=this_run.root,
    )
    target_jobs, unfit_targets = make_target_jobs(
        plan.selection.target_scans, models, root=this_run.root, device=config.resource.device
    )
    # the pictures of a harmonized scan show the tissues of the target's scan
    phases = [[*map(ScanJob, target_jobs)], _make_scan_jobs(jobs, plan, models)]
    excluded = (*_excluded_scans(plan), *unfit, *unfit_targets)
    if not any(phases):
        reasons = [f"\n  {scan.image.name}: {scan.reason}" for scan in excluded]
        raise NothingSelected("".join(["no scan fits a model:", *reasons]))
    results = [ScanResult(status_row(scan, "excluded", scan.reason)) for scan in excluded]
    record_status(this_run, [result.row for result in results])
    return results + run_phases(phases, config, this_run, workers)


def run_phases(
    phases: Sequence[Sequence[ScanJob]], config: Config, this_run: Run, workers: Workers
) -> list[ScanResult]:
    """Run the jobs of each phase once those of the phase before are done."""
    results: list[ScanResult] = []
    for scan_jobs in phases:
        has_crashed = any(result.crash_report for result in results)
        if scan_jobs and not (has_crashed and config.run.stop_on_first_crash):
            results += run_scan_jobs(scan_jobs, config, this_run, workers)
    return results


def _excluded_scans(plan: Plan) -> list[ExcludedScan]:
    """Scans that nothing is written for, before models are applied."""
    images = {scan.image for scan in plan.selection.target_scans}
    excluded = (*plan.inventory.excluded, *plan.selection.excluded)
    return [scan for scan in excluded if scan.image not in images]


def make_harmonize_options(config: Config) -> HarmonizeOptions:
    """Return how models are applied, from the flags."""
    return HarmonizeOptions(
        method=config.model.method,
        device=config.resource.device,
        output_directions=config.harmonization.output_directions,
        noise=config.harmonization.noise,
        should_abstain=config.harmonization.abstain,
        should_predict_missing=config.model.predict_missing_shells,
        output_type=config.output.output_dtype,
    )


def _make_scan_jobs(
    jobs: Sequence[HarmonizeJob], plan: Plan, models: Sequence[Model]
) -> list[ScanJob]:
    """Find the best scan of each subject with the shells of its model's target."""
    ranked = rank_scans(plan.inventory)
    requirements = {model.folder: Requirements.of_model(model) for model in models}
    scan_jobs = []
    for job in jobs:
        required = requirements[job.model_folder]
        target_scans = ranked.get((required.target, job.scan.subject), ())
        fitting = (scan for scan in target_scans if not required.target_mismatch(scan))
        scan_jobs.append(ScanJob(job, next(fitting, None)))
    return scan_jobs


def run_scan_jobs(
    scan_jobs: Sequence[ScanJob], config: Config, this_run: Run, workers: Workers
) -> list[ScanResult]:
    """Run the jobs in parallel; with --stop-on-first-crash, until one fails."""
    scans = [scan for job in scan_jobs for scan in job.scans]
    memory = memory_for_scans(scans, is_spooled=config.resource.low_mem)
    results = []
    for _, result in workers.run(process_scan, scan_jobs, memory, report_killed_scan):
        results.append(result)
        record_result(this_run, result)
        progress = f"{len(results)} of {len(scan_jobs)}"
        logger.info("%s: %s (%s)", result.row.file, result.row.status, progress)
        if result.crash_report:
            logger.error("%s", result.crash_report)
            if config.run.stop_on_first_crash:
                skipped_count = len(scan_jobs) - len(results)
                logger.error("stopped at the first failed scan; %d were skipped", skipped_count)
                break
    return results


def record_result(this_run: Run, result: ScanResult) -> None:
    """Write status and traceback of a scan to the folder of the run."""
    record_status(this_run, [result.row])
    if result.crash_report:
        write_crash_report(this_run, result.row.file.split(".")[0], result.crash_report)


def report_killed_scan(scan_job: ScanJob) -> ScanResult:
    """Make the result of a scan whose process is killed whenever it is tried."""
    reason = f"{KILLED_MESSAGE}; give it more (--nprocs 1, --low-mem, a larger --mem of the job)"
    return ScanResult(status_row(scan_job.job.scan, "failed", reason, scan_job.role), reason)


def process_scan(scan_job: ScanJob) -> ScanResult:
    """Harmonize one scan and draw its pictures, or fit one scan of the target."""
    scan = scan_job.job.scan
    role = scan_job.role
    try:
        is_changed = _write_scan(scan_job)
    except ShresnetError as error:  # its message is all there is to know
        return ScanResult(status_row(scan, "failed", str(error), role), crash_report=str(error))
    except Exception as error:  # reported, so that the other scans go on; it fails the run
        reason = f"{type(error).__name__}: {error}"
        failed = status_row(scan, "failed", reason, role)
        return ScanResult(failed, crash_report=traceback.format_exc())
    return ScanResult(status_row(scan, "done" if is_changed else "up to date", role=role))


def _write_scan(scan_job: ScanJob) -> bool:
    """Write all outputs of a scan; returns whether anything was not up to date."""
    job = scan_job.job
    with hold_scan_lock(job.outputs):
        if isinstance(job, TargetJob):
            steps = [write_target_scan(job)]
        else:
            pictures = PictureJob(job.outputs, scan_job.target_scan)
            steps = [write_harmonized_scan(job), write_pictures(pictures)]
        target = read_model(job.model_folder).target
        record = {"Role": scan_job.role, "TargetScanner": target}
        steps.append(write_scalar_stats(job.outputs, record))
    return any(steps)


def status_row(
    scan: Scan | ExcludedScan,
    status: Literal["done", "up to date", "excluded", "failed"],
    reason: str = "",
    role: str = "",
) -> ScanStatus:
    """Make the row of a scan in status.tsv."""
    return ScanStatus(
        subject=scan.subject,
        session=scan.session,
        file=scan.image.name,
        status=status,
        reason=reason,
        scanner=scan.scanner_label,
        role=role,
    )


def log_summary(rows: Sequence[ScanStatus], models: Sequence[Model], root: Path) -> None:
    """Log the status of the scans of each subject that was asked for, and one line for all."""
    requested = [row for row in rows if not row.reason.startswith(NOT_REQUESTED)]
    for subject in dict.fromkeys(row.subject for row in requested):
        log_subject(subject, [row for row in requested if row.subject == subject])
    counts = Counter(row.status for row in rows)
    if counts["up to date"] and not counts["done"] and not counts["failed"]:
        logger.info(
            "nothing to do: %d scans are complete and up to date in %s", counts["up to date"], root
        )
        return
    scans = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    names = ", ".join(model.name for model in models)
    logger.info("models: %s%s; results: %s", names, f"; scans: {scans}" if scans else "", root)


def log_subject(subject: str, rows: Sequence[ScanStatus]) -> None:
    """Log the status of a subject's scans."""
    has_failed = any(row.status == "failed" for row in rows)
    level = logging.ERROR if has_failed else logging.INFO
    logger.log(level, "sub-%s: %s", subject, "; ".join(map(status_text, rows)))


def status_text(row: ScanStatus) -> str:
    """Format file, status and reason of a scan."""
    reason = f" ({row.reason})" if row.reason else ""
    return f"{row.file} {row.status}{reason}"
