"""The story on one page: command line in, the steps in order, exit code out."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bids_shresnet import __version__
from bids_shresnet.command_line import log_to_screen, parse_levels
from bids_shresnet.errors import IO_ERROR, BadInput, Interrupted, NothingSelected, ShresnetError, UsageError
from bids_shresnet.parallel import Workers, set_up_process
from bids_shresnet.ranks import Place
from bids_shresnet.resources import MB, peak_memory
from bids_shresnet.scratch import scratch
from bids_shresnet.signals import stopping_when_told

if TYPE_CHECKING:  # the steps load torch and pybids: seconds that --help and --version must not take
    from bids_shresnet.config import Config
    from bids_shresnet.files.models import Model
    from bids_shresnet.files.provenance import Run, Status
    from bids_shresnet.planning import Plan
    from bids_shresnet.scans import Scan
    from bids_shresnet.steps.harmonize import HarmonizeJob

logger = logging.getLogger("bids_shresnet")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the app and return its exit code (the BIDS execution specification's; see errors.py)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--version" in arguments:
        sys.stdout.write(f"bids_shresnet {__version__}\n")
        return 0
    if "--bids-exec-spec" in arguments:
        from bids_shresnet.descriptor import descriptor

        sys.stdout.write(json.dumps(descriptor(), indent=2) + "\n")
        return 0
    try:
        return max([talking_run(config, arguments) for config in parse_levels(arguments)])
    except (ShresnetError, Interrupted) as error:
        sys.stderr.write(f"bids-shresnet: {error}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"bids-shresnet: reading or writing failed: {error}\n")
        return IO_ERROR


def talking_run(config: Config, arguments: Sequence[str]) -> int:
    """Run one analysis level and say on the screen what happens."""
    with log_to_screen(config.verbose, quiet=not Place.here().first), stopping_when_told():
        return run(config, arguments)


def run(config: Config, arguments: Sequence[str]) -> int:
    """Look at the data, then do what is to be done; a dry run and rewritten reports end here."""
    refuse_to_share(config)
    workers = replace(Workers.of(config.nprocs, config.omp_nthreads, config.memory), bars=not config.json)
    logger.debug("bids_shresnet %s, %s", __version__, workers)
    set_up_process(workers.threads)
    from bids_shresnet.files.models import find_models
    from bids_shresnet.files.outputs import output_root
    from bids_shresnet.planning import planned

    root = output_root(config.output_dir)
    if config.reports_only or config.boilerplate_only:
        return write_again(config, root, arguments)
    usable = on_usable_device(config)
    models = find_models(config.models) if config.models else ()
    plan = planned(usable, models, root, workers)
    if config.dry_run:
        return 0
    if Place.here().shared:
        return trained_together(plan, usable, root, arguments, workers)
    this_run = opened(root, config, arguments)
    with scratch(config.work_dir or root):
        return carried_out(plan, models, usable, this_run, workers)


def carried_out(plan: Plan, models: Sequence[Model], config: Config, this_run: Run, workers: Workers) -> int:
    """Train what is missing; at the participant level harmonize and derive, in a group prove."""
    from bids_shresnet.files.boilerplate import write_boilerplate
    from bids_shresnet.files.inventory import write_scans
    from bids_shresnet.files.provenance import finish_run, write_findings
    from bids_shresnet.learning import learned
    from bids_shresnet.steps.overview import overview

    root = this_run.root
    write_findings(this_run, plan.findings)
    write_scans(this_run, overview(plan.inventory, plan.pairs, plan.selection, plan.findings).scans)
    outcomes: list[Outcome] = []
    try:
        models = models or learned(plan.pairs, config, root, workers)
        if not models:  # only a stage on the way to them was asked for
            return 0
        write_boilerplate(root, models)
        if config.analysis_level == "participant":
            warn_of_unproven(models, config)
            outcomes = harmonized(plan, models, config, root, workers)
            report_crashes(this_run, outcomes)
        elif config.proof:
            report(models, root, this_run.command)
        say_the_end([outcome.row for outcome in outcomes], models, root)
    finally:
        logger.info("memory: at most %d MB a process", peak_memory() / MB)
        written = [outcome.written for outcome in outcomes if outcome.written is not None]
        finish_run(this_run, [outcome.row for outcome in outcomes], written)
    report_subjects(this_run, [outcome.row for outcome in outcomes])
    return 1 if any(outcome.row.status == "failed" for outcome in outcomes) else 0


def opened(root: Path, config: Config, arguments: Sequence[str]) -> Run:
    """Make the output a dataset and begin the record of this run."""
    from bids_shresnet.files.description import generated_by
    from bids_shresnet.files.outputs import prepare_root
    from bids_shresnet.files.provenance import start_run
    from bids_shresnet.files.records import to_record

    datasets = config.named_datasets()
    prepare_root(root, datasets, [pipeline for path in datasets.values() for pipeline in generated_by(path)])
    return start_run(root, to_record(config), ["bids-shresnet", *arguments])


def trained_together(plan: Plan, config: Config, root: Path, arguments: Sequence[str], workers: Workers) -> int:
    """One of several processes that train the same networks; the first one keeps the record of the run."""
    from bids_shresnet.learning import learned
    from bids_shresnet.network.together import together

    with together(Place.here(), config.device):
        if Place.here().first:
            return carried_out(plan, (), config, opened(root, config, arguments), workers)
        learned(plan.pairs, config, root, workers)
    return 0


def refuse_to_share(config: Config) -> None:
    """Several processes can train a network together, and nothing else."""
    if Place.here().shared and config.stage != "train":
        msg = "torchrun shares the training of networks: use it with `group --stage train`, and all else without it"
        raise UsageError(msg)


def on_usable_device(config: Config) -> Config:
    """The same with a device that is there; torch, which takes seconds to load, is not asked about the CPU."""
    if config.device == "cpu":
        return config
    from bids_shresnet.network.devices import usable_device

    device, place = usable_device(config.device), Place.here()
    return replace(config, device=f"cuda:{place.local}" if place.shared and device == "cuda" else device)


def write_again(config: Config, root: Path, arguments: Sequence[str]) -> int:
    """Write the reports or the methods text from what is there."""
    from bids_shresnet.files.boilerplate import write_boilerplate
    from bids_shresnet.files.models import find_models
    from bids_shresnet.files.provenance import finish_run
    from bids_shresnet.steps.report import subjects_with_results, write_subject_reports

    models = find_models(config.models or root / "models")
    proven = [model for model in models if model.proof]
    subjects = [s for s in subjects_with_results(root) if s in (config.participant_label or [s])]
    if config.reports_only and not proven and not subjects:
        msg = f"no model in {root} was cross-validated and no scan harmonized, so there is nothing to report"
        raise NothingSelected(msg)
    this_run = opened(root, config, arguments)
    try:
        write_boilerplate(root, models)
        if config.reports_only:
            with scratch(config.work_dir or root):
                write_subject_reports(root, subjects)
                if proven:  # last: it leads to the pages that are there
                    report(proven, root, this_run.command)
    finally:
        finish_run(this_run, [])
    return 0


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


def report(models: Sequence[Model], root: Path, command: str) -> None:
    """Tables, figures and group.html from what lies in the models' folders."""
    from bids_shresnet.steps.evidence import read_evidence
    from bids_shresnet.steps.prove import write_group

    for line in write_group(root, [read_evidence(model) for model in models if model.proof], command):
        logger.info("%s", line)


def report_subjects(this_run: Run, rows: Sequence[Status]) -> None:
    """A page for each subject of which a scan was worked on; group.html, if it is there, leads to the new ones."""
    from bids_shresnet.files.models import find_models
    from bids_shresnet.steps.report import report_path, worth_a_report, write_subject_reports

    root = this_run.root
    subjects = worth_a_report(root, [(row.subject, row.status) for row in rows])
    new = [subject for subject in subjects if not report_path(root, subject).exists()]
    if subjects:
        write_subject_reports(root, subjects)
    if new and (root / "group.html").exists():
        report(find_models(root / "models"), root, this_run.command)


def report_crashes(this_run: Run, outcomes: Sequence[Outcome]) -> None:
    """Keep the tracebacks of scans that failed beside their line in status.tsv."""
    from bids_shresnet.files.provenance import write_crash

    for outcome in outcomes:
        if outcome.details:
            write_crash(this_run, outcome.row.file.split(".")[0], outcome.details)


def warn_of_unproven(models: Sequence[Model], config: Config) -> None:
    """Say which models are not proven to be better than doing nothing; refuse them if asked to."""
    from bids_shresnet.steps.prediction import method_for
    from bids_shresnet.steps.prove import doubts

    found = [doubt for model in models for doubt in doubts(model, method_for(model, config.method))]
    if found and config.require_proof:
        raise BadInput(found)
    for doubt in found:
        logger.warning("%s: %s. %s", doubt.file, doubt.value, doubt.remedy)


def harmonized(plan: Plan, models: Sequence[Model], config: Config, root: Path, workers: Workers) -> list[Outcome]:
    """Harmonize and derive every scan; what fails is said in its row, and the others go on."""
    from bids_shresnet.steps.harmonize import jobs_for
    from bids_shresnet.steps.memory import of_scans
    from bids_shresnet.steps.pair import rank

    ranked, scanners = rank(plan.inventory), {scan.image: scan.scanner_label for scan in plan.inventory.scans}
    targets = {model.folder: model.target for model in models}
    jobs, unfit = jobs_for(plan.selection.scans, models, config, root)
    left_out = (*plan.inventory.left_out, *plan.selection.left_out, *unfit)
    if not jobs:
        msg = "no scan fits a model:" + "".join(f"\n  {item.file.name}: {item.reason}" for item in left_out)
        raise NothingSelected(msg)
    outcomes = [Outcome(row(item.file, scanners.get(item.file, ""), "left out", item.reason)) for item in left_out]
    tasks = [ScanTask(job, next(iter(ranked.get((targets[job.model], job.scan.subject), ())), None)) for job in jobs]
    results = workers.run(one_scan, tasks, of_scans(scan for task in tasks for scan in task.scans))
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
    from bids_shresnet.steps.derive import DeriveJob, derive
    from bids_shresnet.steps.harmonize import harmonize
    from bids_shresnet.steps.picture import PictureJob, picture

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
    from bids_shresnet.files.dataset import take_apart
    from bids_shresnet.files.provenance import Status

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
