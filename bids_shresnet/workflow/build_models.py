"""From a pair of scanners to its model: prepare, train and evaluate, at once or stage by stage.

Every result on disk has a digest of what it was made from, so that each stage continues where an
earlier run has ended.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from bids_shresnet.config import Config
from bids_shresnet.errors import InputMissing, UsageError
from bids_shresnet.evaluation.coverage import calibrate_uncertainty
from bids_shresnet.evaluation.cross_validation import CrossValidation, write_cross_validation
from bids_shresnet.evaluation.evaluate import evaluate_fold, read_results
from bids_shresnet.evaluation.jobs import EvaluationSettings, evaluation_jobs
from bids_shresnet.evaluation.missing_shells import evaluate_missing_shells, write_missing_shells
from bids_shresnet.harmonization.options import applicable_method
from bids_shresnet.io.storage import hold_lock, remove_file
from bids_shresnet.outputs.model.folder import CARD_FILE, Model
from bids_shresnet.outputs.model.validation import MissingShellError
from bids_shresnet.pairs import ALL_SUBJECTS, Pair
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.training.write_model import settings_difference, write_sweep
from bids_shresnet.workflow.pair_work import PairWork
from bids_shresnet.workflow.train_pair import (
    drop_bad_heads,
    fit_folds,
    fit_model,
    prepare_repeats,
    prepare_subjects,
    prepare_travelling_subjects,
    require_fitted_folds,
    require_prepared_subjects,
)

logger = logging.getLogger(__name__)


def build_models(
    pairs: Sequence[Pair], config: Config, root: Path, workers: Workers
) -> tuple[Model, ...]:
    """Build the model of each pair; the stages prepare and train return none yet."""
    pair_works = [PairWork(pair, config, root) for pair in pairs]
    check_stage(pair_works, config)
    if config.run.stage == "prepare":
        run_prepare_stage(pair_works, config.input.participant_label, workers)
        return ()
    if config.run.stage == "train":
        for pair_work in pair_works:
            run_train_stage(pair_work, config.run.fold, workers)
        return ()
    return tuple(build_model(pair_work, workers) for pair_work in pair_works)


def check_stage(pair_works: Sequence[PairWork], config: Config) -> None:
    """Check that a stage has what it needs: its subjects and folds, and the earlier stages.

    Raises
    ------
    InputMissing
        If a subject is no travelling subject or not prepared, or a fold not trained.
    UsageError
        If there is no such fold.
    """
    stage = config.run.stage
    if stage == "prepare":
        check_travelling_labels(pair_works, config.input.participant_label)
    for pair_work in pair_works:
        if stage in ("train", "evaluate") and not pair_work.is_complete:
            check_folds(pair_work, config.run.fold)
            remaining = drop_bad_heads(pair_work)
            require_prepared_subjects(remaining)
            if stage == "evaluate":
                require_fitted_folds(remaining)


def check_travelling_labels(pair_works: Sequence[PairWork], labels: Sequence[str]) -> None:
    """Check that labels are those of travelling subjects.

    Raises
    ------
    InputMissing
        If one is not.
    """
    jobs = [job for pair_work in pair_works for job in pair_work.subject_jobs]
    subjects = sorted({job.source.subject for job in jobs})
    if unknown := [label for label in labels if label not in subjects]:
        msg = (
            f"--participant-label {' '.join(unknown)}: only travelling subjects are prepared: "
            f"{' '.join(subjects)}"
        )
        raise InputMissing(msg)


def run_prepare_stage(
    pair_works: Sequence[PairWork], labels: Sequence[str], workers: Workers
) -> None:
    """Prepare the travelling subjects with these labels, or all.

    The job that prepares the last of them finds the bad heads. If one of these had set the shells,
    it prepares all others again, because no later job of a cluster does.
    """
    for pair_work in pair_works:
        known = drop_bad_heads(pair_work)  # those that an earlier run found
        jobs = known.all_prepare_jobs
        selected = [job for job in jobs if not labels or job.source.subject in labels]
        prepare_subjects(selected, known, workers)
        remaining = drop_bad_heads(pair_work)
        if remaining.shells != known.shells:
            prepare_subjects(remaining.all_prepare_jobs, remaining, workers)


def run_train_stage(pair_work: PairWork, fold_numbers: Sequence[int], workers: Workers) -> None:
    """Fit the folds with these numbers, or all, of the model and its baselines."""
    if pair_work.is_complete:
        load_existing_model(pair_work)
        return
    remaining = drop_bad_heads(pair_work)
    log_dropped_folds(remaining, fold_numbers)
    jobs = remaining.fold_jobs_to_run
    selected = [job for job in jobs if not fold_numbers or job.number in fold_numbers]
    fit_folds(selected, remaining, workers)


def log_dropped_folds(remaining: PairWork, fold_numbers: Sequence[int]) -> None:
    """Say which folds have no subjects left: a cluster has a task for them, which is done."""
    count = len(remaining.folds)
    if dropped := [number for number in fold_numbers if number > count]:
        logger.info(
            "%s: nothing to do for fold %s: without the subjects that are not trained on, there "
            "are the folds 1 to %d",
            remaining.pair.name,
            " ".join(map(str, dropped)),
            count,
        )


def check_folds(pair_work: PairWork, fold_numbers: Sequence[int]) -> None:
    """Check that a pair has folds with these numbers, before bad heads are left out.

    Raises
    ------
    UsageError
        If it has not.
    """
    count = len(pair_work.folds)
    if unknown := [number for number in fold_numbers if not ALL_SUBJECTS <= number <= count]:
        numbers = " ".join(map(str, unknown))
        msg = (
            f"--fold {numbers}: {pair_work.pair.name} has the folds 1 to {count}, and "
            f"{ALL_SUBJECTS} for the fit to all subjects"
        )
        raise UsageError(msg)


def build_model(pair_work: PairWork, workers: Workers) -> Model:
    """Load the model of a pair, or prepare and train it; `group` cross-validates it, too."""
    with hold_lock(pair_work.model_folder):
        if pair_work.config.model.retrain:
            discard_model(pair_work.model_folder)
        model = load_existing_model(pair_work)
        if model is not None and pair_work.is_complete:
            return model
        begin_work(pair_work)
        pair_work = prepare_travelling_subjects(pair_work, workers)
        model = model or fit_model(pair_work, workers)
        if pair_work.should_validate:
            model = cross_validate(prepare_repeats(pair_work, workers), model, workers)
        if pair_work.config.output.work_dir is None:
            remove_work_folder(pair_work.work_folder)
    return model


def discard_model(folder: Path) -> None:
    """Delete a model; its card goes first, so that half of it is no model."""
    if folder.exists():
        remove_file(folder / CARD_FILE)
        shutil.rmtree(folder)


def load_existing_model(pair_work: PairWork) -> Model | None:
    """Return the model of an earlier run; warn if it was trained with other settings."""
    model = pair_work.existing_model
    if model is None:
        return None
    logger.info("%s: trained before, loaded from %s", model.name, model.folder)
    difference = settings_difference(model, pair_work.config.fit, pair_work.config.model)
    if difference:
        logger.warning("%s was trained with %s; --retrain trains it again", model.name, difference)
    return model


def begin_work(pair_work: PairWork) -> None:
    """Clear the work folder if requested."""
    if pair_work.config.output.clean_workdir and pair_work.work_folder.exists():
        shutil.rmtree(pair_work.work_folder)


def cross_validate(pair_work: PairWork, model: Model, workers: Workers) -> Model:
    """Fit the other methods on the same folds and evaluate all of them on the held-out subjects."""
    config = pair_work.config
    if pair_work.methods != config.model.methods:
        logger.warning(
            "%s: half of the source's directions are fewer than six; denoising is not compared",
            pair_work.pair.name,
        )
    fit_folds(
        (*pair_work.baselines, *pair_work.sweep, *pair_work.missing_shell_baselines),
        pair_work,
        workers,
    )
    method = applicable_method(model, config.model.method)
    settings = EvaluationSettings(
        folder=pair_work.work_folder,
        methods=pair_work.methods,
        applied_method=method,
        seed=config.resource.random_seed,
        device=config.resource.device,
    )
    jobs = evaluation_jobs(
        pair_work.subject_jobs,
        pair_work.repeat_scan_jobs,
        model,
        pair_work.baselines,
        settings,
    )
    evaluated = workers.run(evaluate_fold, jobs, pair_work.evaluation_memory)
    for count, (job, _) in enumerate(evaluated, 1):
        logger.info("%s: fold %d is evaluated (%d of %d)", model.name, job.number, count, len(jobs))
    if pair_work.sweep:
        write_sweep(model.folder, pair_work.sweep)
    results = read_results(jobs)
    return write_cross_validation(
        CrossValidation(
            model=model,
            method=method,
            rows=results.rows,
            regional_means=results.regions,
            orientations=results.orientations,
            uncertainty=calibrate_uncertainty(results.coverages),
            missing_shell_errors=cross_validate_missing_shells(pair_work, model, workers),
            agreements=results.agreements,
            powers=results.powers,
            histograms=results.histograms,
            slices=results.slices,
            effects=results.effects,
        )
    )


def cross_validate_missing_shells(
    pair_work: PairWork, model: Model, workers: Workers
) -> tuple[MissingShellError, ...]:
    """Evaluate predicted shells, and those of linear patch regression, on held-out subjects."""
    jobs = (*pair_work.missing_shell_folds, *pair_work.missing_shell_baselines)
    if not jobs:
        return ()
    return write_missing_shells(
        model,
        [error for _, errors in workers.run(evaluate_missing_shells, jobs) for error in errors],
    )


def remove_work_folder(work_folder: Path) -> None:
    """Remove the work folder of a pair, and that of all pairs once it is empty."""
    shutil.rmtree(work_folder)
    if not any(work_folder.parent.iterdir()):
        work_folder.parent.rmdir()
