"""From models to harmonized scans: rewrite every scan, derive FA and MD, picture it, and say what became of it."""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bids_shresnet.config import Config, ModelSettings
from bids_shresnet.errors import BadInput, NothingSelected
from bids_shresnet.evaluation.validation import unvalidated_reasons
from bids_shresnet.harmonization.derive import write_tensor_maps
from bids_shresnet.harmonization.harmonize import write_harmonized_scan
from bids_shresnet.harmonization.jobs import HarmonizeJob, make_harmonize_jobs
from bids_shresnet.harmonization.options import HarmonizeOptions, applicable_method
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.outputs.run_log import Run, ScanStatus, write_crash_report
from bids_shresnet.pairs import ExcludedScan
from bids_shresnet.planning.memory import memory_for_scans
from bids_shresnet.planning.pairing import rank_scans
from bids_shresnet.planning.plan import Plan
from bids_shresnet.report.pictures.draw import PictureJob, write_pictures
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.scans import Scan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ScanResult:
    """Result of one scan: its line in status.tsv, and the traceback if it failed."""

    row: ScanStatus
    crash_report: str = ""


@dataclass(frozen=True)
class ScanJob:
    """A scan to harmonize, and the same head on the target scanner, if it was measured there, to show beside it."""

    harmonize_job: HarmonizeJob
    target_scan: Scan | None

    @property
    def scans(self) -> tuple[Scan, ...]:
        """What is read."""
        return (
            (self.harmonize_job.scan, self.target_scan)
            if self.target_scan
            else (self.harmonize_job.scan,)
        )


def check_validation(models: Sequence[Model], settings: ModelSettings) -> None:
    """Warn about models that are not validated, or refuse them with --require-validation."""
    found = [
        reason
        for model in models
        for reason in unvalidated_reasons(model, applicable_method(model, settings.method))
    ]
    if found and settings.require_validation:
        raise BadInput(found)
    for reason in found:
        logger.warning("%s: %s. %s", reason.file, reason.value, reason.remedy)


def harmonize_scans(
    plan: Plan, models: Sequence[Model], config: Config, root: Path, workers: Workers
) -> list[ScanResult]:
    """Harmonize and derive every scan; what fails is said in its row, and the others go on."""
    ranked = rank_scans(plan.inventory)
    targets = {model.folder: model.target for model in models}
    jobs, unfit = make_harmonize_jobs(
        plan.selection.scans,
        models,
        options=_harmonize_options(config),
        bids_dir=config.input.bids_dir,
        root=root,
    )
    left_out = (*plan.inventory.excluded, *plan.selection.excluded, *unfit)
    if not jobs:
        msg = "no scan fits a model:" + "".join(
            f"\n  {scan.image.name}: {scan.reason}" for scan in left_out
        )
        raise NothingSelected(msg)
    outcomes = [ScanResult(status_row(scan, "excluded", scan.reason)) for scan in left_out]
    tasks = [
        ScanJob(
            job, next(iter(ranked.get((targets[job.model_folder], job.scan.subject), ())), None)
        )
        for job in jobs
    ]
    need = memory_for_scans(
        (scan for task in tasks for scan in task.scans), is_spooled=config.resource.low_mem
    )
    results = workers.run(process_scan, tasks, need)
    for count, (_, outcome) in enumerate(results, 1):
        logger.info("%s: %s (%d of %d)", outcome.row.file, outcome.row.status, count, len(jobs))
        if outcome.crash_report:
            logger.error("%s", outcome.crash_report)
        outcomes.append(outcome)
        if config.run.stop_on_first_crash and outcome.row.status == "failed":
            logger.error(
                "stopped at the first scan that failed; %d scans were not begun or not waited for",
                len(jobs) - count,
            )
            break
    return outcomes


def _harmonize_options(config: Config) -> HarmonizeOptions:
    """Return how models are applied, from the flags."""
    return HarmonizeOptions(
        method=config.model.method,
        device=config.resource.device,
        output_directions=config.harmonization.output_directions,
        should_abstain=config.harmonization.abstain,
        should_predict_missing=config.model.predict_missing_shells,
    )


def process_scan(scan_job: ScanJob) -> ScanResult:
    """Harmonize, derive and picture one scan."""
    job = scan_job.harmonize_job
    try:
        written = write_harmonized_scan(job)
        derived = write_tensor_maps(job.outputs)
        pictured = write_pictures(PictureJob(job.outputs, scan_job.target_scan))
    except (
        Exception
    ) as error:  # one bad scan must not end the others; it is reported and fails the run
        reason = f"{type(error).__name__}: {error}"
        failed = status_row(job.scan, "failed", reason)
        return ScanResult(failed, crash_report=traceback.format_exc())
    has_written = written or derived or pictured
    return ScanResult(status_row(job.scan, "done" if has_written else "up to date"))


def status_row(
    scan: Scan | ExcludedScan,
    status: Literal["done", "up to date", "excluded", "failed"],
    reason: str = "",
) -> ScanStatus:
    """A row of status.tsv."""
    return ScanStatus(
        subject=scan.subject,
        session=scan.session,
        file=scan.image.name,
        status=status,
        reason=reason,
        scanner=scan.scanner_label,
    )


def status_text(scan_status: ScanStatus) -> str:
    """What became of one scan, and why."""
    return f"{scan_status.file} {scan_status.status}" + f" ({scan_status.reason})" * bool(
        scan_status.reason
    )


def log_summary(rows: Sequence[ScanStatus], models: Sequence[Model], root: Path) -> None:
    """One line a subject, with what became of its scans and why, and one for all."""
    for subject in dict.fromkeys(item.subject for item in rows):
        own = [item for item in rows if item.subject == subject]
        failed = any(item.status == "failed" for item in own)
        logger.log(
            logging.ERROR if failed else logging.INFO,
            "sub-%s: %s",
            subject,
            "; ".join(map(status_text, own)),
        )
    counts = Counter(item.status for item in rows)
    if counts["up to date"] and not counts["done"] and not counts["failed"]:
        logger.info(
            "nothing to do: %d scans are complete and up to date in %s", counts["up to date"], root
        )
        return
    scans = (
        ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
        or "none asked for"
    )
    logger.info(
        "models: %s; scans: %s; results: %s", ", ".join(model.name for model in models), scans, root
    )


def write_crash_reports(this_run: Run, results: Sequence[ScanResult]) -> None:
    """Keep the tracebacks of scans that failed beside their line in status.tsv."""
    for outcome in results:
        if outcome.crash_report:
            write_crash_report(this_run, outcome.row.file.split(".")[0], outcome.crash_report)
