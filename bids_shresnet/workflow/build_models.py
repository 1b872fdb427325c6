"""From a pair of scanners to its model: prepare, train, evaluate; in one run, or stage by stage as jobs of a cluster.

What is done is on disk with a stamp of what it was made from, so every stage goes on where it was left.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from bids_shresnet.config import Config
from bids_shresnet.errors import InputMissing, UsageError
from bids_shresnet.evaluation.cross_validation import CrossValidation, write_cross_validation
from bids_shresnet.evaluation.evaluate import (
    EvaluationSettings,
    evaluate_fold,
    evaluation_jobs,
    read_results,
)
from bids_shresnet.evaluation.missing_shells import evaluate_missing_shells, write_missing_shells
from bids_shresnet.evaluation.uncertainty import calibrate_spread
from bids_shresnet.harmonization.options import applicable_method
from bids_shresnet.io.storage import hold_lock
from bids_shresnet.outputs.model_card import MissingShellError
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.memory import memory_for_scans
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.training.folds import FoldJob
from bids_shresnet.training.prepare import PrepareJob, prepare_subject
from bids_shresnet.training.train_fold import train_fold
from bids_shresnet.training.write_model import settings_difference, write_model, write_sweep
from bids_shresnet.workflow.pair_work import PairWork

logger = logging.getLogger(__name__)


def build_models(
    pairs: Sequence[Pair], config: Config, root: Path, workers: Workers
) -> tuple[Model, ...]:
    """The pairs' models; none where only a stage before them was asked for."""
    units = [PairWork(pair, config, root) for pair in pairs]
    if config.run.stage == "prepare":
        run_prepare_stage(units, config.input.participant_label, workers)
        return ()
    if config.run.stage == "train":
        for one in units:
            run_train_stage(one, config.run.fold, workers)
        return ()
    return tuple(build_model(one, workers) for one in units)


def run_prepare_stage(
    pair_works: Sequence[PairWork], labels: Sequence[str], workers: Workers
) -> None:
    """Prepare some travelling subjects, or all.

    Raises
    ------
    InputMissing
        If one that was asked for does not travel.
    """
    travelling = sorted({job.source.subject for one in pair_works for job in one.subject_jobs})
    if unknown := [label for label in labels if label not in travelling]:
        msg = f"--participant-label {' '.join(unknown)}: only travelling subjects are prepared: {' '.join(travelling)}"
        raise InputMissing(msg)
    for one in pair_works:
        jobs = (*one.subject_jobs, *one.repeat_scan_jobs)
        prepare_subjects(
            [job for job in jobs if not labels or job.source.subject in labels], one, workers
        )


def run_train_stage(pair_work: PairWork, fold_numbers: Sequence[int], workers: Workers) -> None:
    """Fit some folds, or all, and with them the same folds of what the model is compared with.

    Raises
    ------
    UsageError
        If there is no such fold.
    InputMissing
        If a subject is not prepared.
    """
    if pair_work.is_complete:
        load_existing_model(pair_work)
        return
    count = len(pair_work.folds)
    if unknown := [number for number in fold_numbers if not 1 <= number <= count]:
        msg = f"--fold {' '.join(map(str, unknown))}: {pair_work.pair.name} has the folds 1 to {count}"
        raise UsageError(msg)
    require_prepared_subjects(pair_work)
    fit_folds(
        [
            job
            for job in pair_work.fold_jobs_to_run
            if not fold_numbers or job.number in fold_numbers
        ],
        pair_work,
        workers,
    )


def build_model(pair_work: PairWork, workers: Workers) -> Model:
    """The pair's model: the one that is there, else prepared and trained now, fold by fold; `group` also validates it."""
    with hold_lock(pair_work.model_folder):
        model = load_existing_model(pair_work)
        if model is not None and pair_work.is_complete:
            return model
        if pair_work.config.output.clean_workdir and pair_work.work_folder.exists():
            shutil.rmtree(pair_work.work_folder)
        if pair_work.config.run.stage == "evaluate":
            require_prepared_subjects(pair_work)
            require_fitted_folds(pair_work)
        prepare_subjects(pair_work.subject_jobs, pair_work, workers)
        model = model or fit_model(pair_work, workers)
        if pair_work.should_validate:
            prepare_subjects(pair_work.repeat_scan_jobs, pair_work, workers)
            model = cross_validate(pair_work, model, workers)
        if pair_work.config.output.work_dir is None:
            remove_work_folder(pair_work.work_folder)
    return model


def load_existing_model(pair_work: PairWork) -> Model | None:
    """The model that was trained before."""
    model = pair_work.existing_model
    if model is None:
        return None
    logger.info("%s: trained before, loaded from %s", model.name, model.folder)
    if other := settings_difference(model, pair_work.config.fit, pair_work.config.model):
        logger.warning("%s was trained with %s; delete its folder to train anew", model.name, other)
    return model


def require_prepared_subjects(pair_work: PairWork) -> None:
    """Name the subjects that are not prepared, and how to prepare them alone."""
    if labels := sorted({job.source.subject for job in pair_work.unprepared_jobs}):
        remedy = (
            f"--stage prepare --pair {pair_work.pair.label} --participant-label {' '.join(labels)}"
        )
        msg = f"{pair_work.pair.name}: not prepared: sub-{' sub-'.join(labels)}. First run `group` with {remedy}"
        raise InputMissing(msg)


def require_fitted_folds(pair_work: PairWork) -> None:
    """Name the folds that are not trained, and how to train them alone."""
    lacking: dict[int, list[str]] = {}
    for job in pair_work.unfitted_jobs:
        lacking.setdefault(job.number, []).append(
            "model" if job.folder == pair_work.model_folder else job.folder.name
        )
    if lacking:
        named = "; ".join(
            f"fold {number} ({', '.join(what)})" for number, what in sorted(lacking.items())
        )
        remedy = f"--stage train --pair {pair_work.pair.label} --fold {' '.join(map(str, sorted(lacking)))}"
        msg = f"{pair_work.pair.name}: not trained: {named}. First run `group` with {remedy}"
        raise InputMissing(msg)


def prepare_subjects(jobs: Sequence[PrepareJob], pair_work: PairWork, workers: Workers) -> None:
    """Register and sample the subjects' training data."""
    need = memory_for_scans(
        (scan for one in jobs for scan in (one.source, one.target)),
        is_spooled=pair_work.config.resource.low_mem,
    )
    for count, (job, _) in enumerate(workers.run(prepare_subject, jobs, need), 1):
        logger.info(
            "%s: sub-%s is prepared (%d of %d)",
            pair_work.pair.name,
            job.source.subject,
            count,
            len(jobs),
        )


def fit_folds(jobs: Sequence[FoldJob], pair_work: PairWork, workers: Workers) -> None:
    """Fit one harmonizer a job."""
    for count, (job, _) in enumerate(workers.run(train_fold, jobs, pair_work.memory_needed), 1):
        logger.info(
            "%s: %s (%d of %d)", pair_work.pair.name, fold_message(job, pair_work), count, len(jobs)
        )


def fold_message(job: FoldJob, pair_work: PairWork) -> str:
    """What the log says of a fold: that the model's own are trained, and the others fitted."""
    if job.folder == pair_work.model_folder:
        return (
            f"fold {job.number}{' of the missing shells' if job.missing_shells else ''} is trained"
        )
    return f"{job.folder.name}, fold {job.number}, is fitted"


def fit_model(pair_work: PairWork, workers: Workers) -> Model:
    """One harmonizer a fold, and one more for the shells that the source lacks if these are to be predicted."""
    config = pair_work.config
    if config.model.predict_missing_shells and not pair_work.missing_shell_folds:
        logger.warning(
            "%s: the target has no shell that the source lacks; none is predicted",
            pair_work.pair.name,
        )
    fit_folds((*pair_work.folds, *pair_work.missing_shell_folds), pair_work, workers)
    return write_model(
        pair_work.pair,
        pair_work.folds,
        config.model.method,
        config.input.bids_dir,
        pair_work.shells.target,
        pair_work.missing_shell_folds,
    )


def cross_validate(pair_work: PairWork, model: Model, workers: Workers) -> Model:
    """Fit the other methods on the same folds and evaluate all of them on the held-out subjects."""
    config = pair_work.config
    fit_folds(
        (*pair_work.baselines, *pair_work.sweep, *pair_work.missing_shell_baselines),
        pair_work,
        workers,
    )
    method = applicable_method(model, config.model.method)
    settings = EvaluationSettings(
        folder=pair_work.work_folder,
        methods=config.model.methods,
        applied_method=method,
        seed=config.resource.random_seed,
        device=config.resource.device,
    )
    trials = evaluation_jobs(
        pair_work.subject_jobs,
        pair_work.repeat_scan_jobs,
        model,
        pair_work.baselines,
        settings,
    )
    for count, (trial, _) in enumerate(
        workers.run(evaluate_fold, trials, pair_work.memory_needed), 1
    ):
        logger.info(
            "%s: fold %d is evaluated (%d of %d)", model.name, trial.number, count, len(trials)
        )
    if pair_work.sweep:
        write_sweep(model.folder, pair_work.sweep)
    results = read_results(trials)
    orientations = tuple(vars(item) for item in results.orientations)
    uncertainty = calibrate_spread(
        model,
        pair_work.subject_jobs,
        seed=config.resource.random_seed,
        device=config.resource.device,
    )
    missing = cross_validate_missing_shells(pair_work, model, workers)
    likeness = (results.agreements, results.powers, results.histograms)
    return write_cross_validation(
        CrossValidation(model, method, results.rows, orientations, uncertainty, missing, *likeness)
    )


def cross_validate_missing_shells(
    pair_work: PairWork, model: Model, workers: Workers
) -> tuple[MissingShellError, ...]:
    """How well the shells that the source lacks are predicted, beside a linear regression of the patch."""
    jobs = (*pair_work.missing_shell_folds, *pair_work.missing_shell_baselines)
    if not jobs:
        return ()
    return write_missing_shells(
        model,
        [error for _, errors in workers.run(evaluate_missing_shells, jobs) for error in errors],
    )


def remove_work_folder(work_folder: Path) -> None:
    """Remove a pair's work, and the work folder once no pair uses it."""
    shutil.rmtree(work_folder)
    if not any(work_folder.parent.iterdir()):
        work_folder.parent.rmdir()
