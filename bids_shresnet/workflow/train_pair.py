"""Prepare the travelling subjects of a pair and fit its folds; name what is missing."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from bids_shresnet.errors import InputMissing
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.planning.memory import memory_for_scans
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.training.folds import FoldJob
from bids_shresnet.training.prepare import PrepareJob, prepare_subject
from bids_shresnet.training.train_fold import train_fold
from bids_shresnet.training.write_model import write_model
from bids_shresnet.workflow.pair_work import PairWork

logger = logging.getLogger(__name__)


def prepare_subjects(jobs: Sequence[PrepareJob], pair_work: PairWork, workers: Workers) -> None:
    """Register the two scans of each subject and sample its training data."""
    scans = [scan for job in jobs for scan in (job.source, job.target)]
    memory = memory_for_scans(scans, is_spooled=pair_work.config.resource.low_mem)
    for count, (job, _) in enumerate(workers.run(prepare_subject, jobs, memory), 1):
        logger.info(
            "%s: sub-%s is prepared (%d of %d)",
            pair_work.pair.name,
            job.source.subject,
            count,
            len(jobs),
        )


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
