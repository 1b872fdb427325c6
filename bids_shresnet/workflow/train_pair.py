"""Prepare the travelling subjects of a pair and fit its folds; name what is missing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from bids_shresnet.errors import BadInput, Finding, InputMissing
from bids_shresnet.outputs.described_tables import write_described_table
from bids_shresnet.outputs.model.folder import REGISTRATION_TSV, Model
from bids_shresnet.planning.memory import memory_for_scans
from bids_shresnet.planning.scan_choice import MIN_TRAVELLING
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.training.exclusions import (
    failure_reason,
    find_bad_heads,
    quality_rows,
    try_to_prepare_subject,
)
from bids_shresnet.training.folds import FoldJob
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.train_fold import train_fold
from bids_shresnet.training.write_model import write_model
from bids_shresnet.workflow.pair_work import PairWork

logger = logging.getLogger(__name__)


def prepare_subjects(jobs: Sequence[PrepareJob], pair_work: PairWork, workers: Workers) -> None:
    """Register the two scans of each subject and sample its training data."""
    scans = [scan for job in jobs for scan in (job.source, job.target)]
    memory = memory_for_scans(scans, is_spooled=pair_work.config.resource.low_mem)
    for count, (job, _) in enumerate(workers.run(try_to_prepare_subject, jobs, memory), 1):
        reason = failure_reason(job)
        logger.info(
            "%s: sub-%s %s (%d of %d)",
            pair_work.pair.name,
            job.source.subject,
            f"cannot be prepared: {reason}" if reason else "is prepared",
            count,
            len(jobs),
        )


def prepare_travelling_subjects(pair_work: PairWork, workers: Workers) -> PairWork:
    """Prepare the travelling subjects; return the work without those that cannot be trained on.

    The quality of all registrations is written into the model folder.

    Raises
    ------
    BadInput
        If too few subjects remain.
    """
    prepare_subjects(pair_work.subject_jobs, pair_work, workers)
    rows = quality_rows(pair_work.subject_jobs)
    write_described_table(pair_work.model_folder / REGISTRATION_TSV, rows)
    remaining = drop_bad_heads(pair_work)
    if remaining.shells != pair_work.shells:  # the first subject had slightly other b-values
        prepare_subjects(remaining.subject_jobs, remaining, workers)
    return remaining


def prepare_repeats(pair_work: PairWork, workers: Workers) -> PairWork:
    """Prepare repeated scans on the target; return the work without those that failed."""
    jobs = pair_work.repeat_scan_jobs
    prepare_subjects(jobs, pair_work, workers)
    failed = {job.source.image for job in jobs if failure_reason(job)}
    if not failed:
        return pair_work
    repeats = tuple(scans for scans in pair_work.pair.repeats if scans[0].image not in failed)
    return replace(pair_work, pair=replace(pair_work.pair, repeats=repeats))


def drop_bad_heads(pair_work: PairWork) -> PairWork:
    """Return the work without subjects that failed or whose scans do not correspond.

    Raises
    ------
    BadInput
        If too few subjects remain, with the reason for each.
    """
    reasons = find_bad_heads(pair_work.subject_jobs)
    if not reasons:
        return pair_work
    remaining = [
        scans for scans in pair_work.pair.travelling_scans if scans[0].subject not in reasons
    ]
    for subject, reason in reasons.items():
        logger.warning("%s: sub-%s is not trained on: %s", pair_work.pair.name, subject, reason)
    if len(remaining) < MIN_TRAVELLING:
        name = pair_work.pair.name
        remedy = f"{MIN_TRAVELLING} travelling subjects are needed, and {len(remaining)} remain."
        raise BadInput([Finding.error(f"{name}, sub-{s}", r, remedy) for s, r in reasons.items()])
    repeats = [scans for scans in pair_work.pair.repeats if scans[0].subject not in reasons]
    pair = replace(pair_work.pair, travelling_scans=tuple(remaining), repeats=tuple(repeats))
    return replace(pair_work, pair=pair)


def fit_model(pair_work: PairWork, workers: Workers) -> Model:
    """Fit a harmonizer per fold and one to all subjects, also of missing shells, and a denoiser."""
    config = pair_work.config
    if config.model.predict_missing_shells and not pair_work.missing_shell_fits:
        logger.warning(
            "%s: the target has no shell that the source lacks; none is predicted",
            pair_work.pair.name,
        )
    fit_folds(pair_work.model_jobs, pair_work, workers)
    return write_model(
        pair_work.pair,
        pair_work.fits,
        config.model.method,
        config.input.bids_dir,
        pair_work.shells.target,
        pair_work.missing_shell_fits,
        pair_work.target_denoiser,
    )


def fit_folds(jobs: Sequence[FoldJob], pair_work: PairWork, workers: Workers) -> None:
    """Fit one harmonizer per job."""
    name = pair_work.pair.name
    for count, (job, _) in enumerate(workers.run(train_fold, jobs, pair_work.memory_needed), 1):
        message = fold_message(job, pair_work)
        logger.info("%s: %s (%d of %d)", name, message, count, len(jobs))


def fold_message(job: FoldJob, pair_work: PairWork) -> str:
    """Describe a job that is done: folds of the model are trained, those of baselines fitted."""
    if job.folder != pair_work.model_folder:
        return f"{job.folder.name}, fold {job.number}, is fitted"
    if job == pair_work.target_denoiser:
        return "the network that denoises the target's scans is trained"
    shells = " of the missing shells" if job.missing_shells else ""
    fit = f"fold {job.number}" if job.split.test else "the network for new subjects"
    return f"{fit}{shells} is trained"


def require_prepared_subjects(pair_work: PairWork) -> None:
    """Check that all subjects are prepared.

    Raises
    ------
    InputMissing
        If not, with the flags that prepare the missing ones.
    """
    labels = sorted({job.source.subject for job in pair_work.unprepared_jobs})
    if not labels:
        return
    subjects = " ".join(f"sub-{label}" for label in labels)
    flags = f"--stage prepare --pair {pair_work.pair.label} --participant-label {' '.join(labels)}"
    msg = f"{pair_work.pair.name}: not prepared: {subjects}. First run `group` with {flags}"
    raise InputMissing(msg)


def require_fitted_folds(pair_work: PairWork) -> None:
    """Check that all folds are fitted.

    Raises
    ------
    InputMissing
        If not, with the flags that fit the missing ones.
    """
    unfitted: dict[int, list[str]] = {}
    for job in pair_work.unfitted_jobs:
        unfitted.setdefault(job.number, []).append(_short_name(job, pair_work))
    if not unfitted:
        return
    numbers = sorted(unfitted)
    folds = "; ".join(f"fold {number} ({', '.join(unfitted[number])})" for number in numbers)
    flags = f"--stage train --pair {pair_work.pair.label} --fold {' '.join(map(str, numbers))}"
    msg = f"{pair_work.pair.name}: not trained: {folds}. First run `group` with {flags}"
    raise InputMissing(msg)


def _short_name(job: FoldJob, pair_work: PairWork) -> str:
    """Name what a job fits, in a list of what is missing."""
    if job == pair_work.target_denoiser:
        return "denoiser of the target"
    return "model" if job.folder == pair_work.model_folder else job.folder.name
