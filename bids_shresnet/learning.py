"""From a pair of scanners to its model: prepare, train, and in `group` prove, each step resumed where it was left."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_shresnet.config import Config
from bids_shresnet.files.models import CARD, Model, read_model
from bids_shresnet.files.storage import one_job_at_a_time
from bids_shresnet.parallel import Workers
from bids_shresnet.scans import Pair
from bids_shresnet.steps.evaluate import evaluate, evaluate_jobs, read_results
from bids_shresnet.steps.folds import baseline_jobs, fold_jobs, missing_jobs, rivals, sweep_jobs
from bids_shresnet.steps.memory import of_arrays, of_scans
from bids_shresnet.steps.missing import evaluate_missing, write_missing
from bids_shresnet.steps.prediction import method_for
from bids_shresnet.steps.prepare import PrepareJob, prepare, prepare_jobs, repeat_jobs
from bids_shresnet.steps.prove import Evidence, write_proof
from bids_shresnet.steps.shells import PairShells, pair_shells
from bids_shresnet.steps.train import other_settings, train_fold, write_model, write_sweep
from bids_shresnet.steps.uncertainty import calibrate_spread, to_record

logger = logging.getLogger(__name__)


def trained(pair: Pair, config: Config, root: Path, workers: Workers) -> Model:
    """The pair's model: the one that is there, else prepared and trained now, fold by fold; `group` also proves it."""
    folder = root / "models" / pair.name
    proving = config.analysis_level == "group" and config.proof
    with one_job_at_a_time(folder):
        model = known_model(folder, config)
        if model is not None and (model.proof or not proving):
            return model
        shells = pair_shells(pair, config.sh_order, predict_missing=config.predict_missing_shells)
        work = (config.work_dir or root / ".work") / pair.name
        if config.clean_workdir and work.exists():
            shutil.rmtree(work)
        subjects = prepared(prepare_jobs(pair, shells, work), pair, workers)
        if model is None:
            model = fitted_model(pair, subjects, shells, folder, config, workers)
        if proving:
            repeats = prepared(repeat_jobs(pair, shells, work), pair, workers)
            model = proven_model(model, subjects, repeats, work, config, workers)
        if config.work_dir is None:
            forget(work)
    return model


def known_model(folder: Path, config: Config) -> Model | None:
    """The model that was trained before."""
    if not (folder / CARD).exists():
        return None
    model = read_model(folder)
    logger.info("%s: trained before, loaded from %s", model.name, folder)
    if other := other_settings(model, config):
        logger.warning("%s was trained with %s; delete its folder to train anew", model.name, other)
    return model


def prepared(jobs: tuple[PrepareJob, ...], pair: Pair, workers: Workers) -> tuple[PrepareJob, ...]:
    """The jobs, once what their subjects teach is registered and sampled."""
    need = of_scans(scan for one in jobs for scan in (one.source, one.target))
    for count, (job, _) in enumerate(workers.run(prepare, jobs, need), 1):
        logger.info("%s: sub-%s is prepared (%d of %d)", pair.name, job.source.subject, count, len(jobs))
    return jobs


def fitted_model(
    pair: Pair,
    subjects: Sequence[PrepareJob],
    shells: PairShells,
    folder: Path,
    config: Config,
    workers: Workers,
) -> Model:
    """One harmonizer a fold, and one more for the shells that the source lacks if these are to be predicted."""
    folds = fold_jobs(folder, subjects, shells.source, config)
    missing = missing_jobs(folds, shells.missing)
    if config.predict_missing_shells and not missing:
        logger.warning("%s: the target has no shell that the source lacks; none is predicted", pair.name)
    need = of_arrays(job.folder for job in subjects)
    for count, (fold, _) in enumerate(workers.run(train_fold, (*folds, *missing), need), 1):
        what = f"fold {fold.number}" + (" of the missing shells" if fold.missing else "")
        logger.info("%s: %s is trained (%d of %d)", pair.name, what, count, len(folds) + len(missing))
    return write_model(pair, folds, config.method, config.bids_dir, shells.target, missing)


def proven_model(
    model: Model,
    subjects: Sequence[PrepareJob],
    repeats: Sequence[PrepareJob],
    work: Path,
    config: Config,
    workers: Workers,
) -> Model:
    """Fit the other methods on the same folds and try all of them on the subjects that these never saw."""
    need = of_arrays(job.folder for job in subjects)
    baselines = baseline_jobs(work, subjects, model, config)
    for count, (fold, _) in enumerate(workers.run(train_fold, baselines, need), 1):
        logger.info(
            "%s: %s, fold %d, is fitted (%d of %d)", *(model.name, fold.method, fold.number, count), len(baselines)
        )
    trials = evaluate_jobs(work, subjects, repeats, model, baselines, config)
    for count, (trial, _) in enumerate(workers.run(evaluate, trials, need), 1):
        logger.info("%s: fold %d is evaluated (%d of %d)", model.name, trial.number, count, len(trials))
    train_sweep(model, subjects, work, config, workers)
    results = read_results(trials)
    orientations = tuple(vars(item) for item in results.orientations)
    found = calibrate_spread(model, subjects, seed=config.random_seed, device=config.device)
    uncertainty = to_record(found) if found else None
    missing = errors_of_missing(model, subjects, work, config, workers) if config.predict_missing_shells else ()
    method = method_for(model, config.method)
    return write_proof(Evidence(model, method, results.rows, orientations, uncertainty, missing))


def errors_of_missing(
    model: Model, subjects: Sequence[PrepareJob], work: Path, config: Config, workers: Workers
) -> Sequence[Mapping[str, Any]]:
    """How well the shells that the source lacks are predicted, beside a linear regression of the patch."""
    folds = fold_jobs(model.folder, subjects, model.source_shells, config)
    jobs = missing_jobs(folds, model.missing_shells)
    others = rivals(work, jobs)
    for _ in workers.run(train_fold, others):
        pass  # in closed form: nothing to watch
    found = [error for _, errors in workers.run(evaluate_missing, (*jobs, *others)) for error in errors]
    return write_missing(model, found) if found else ()


def train_sweep(model: Model, subjects: Sequence[PrepareJob], work: Path, config: Config, workers: Workers) -> None:
    """Networks with other numbers of ResBlocks, where that was asked for."""
    jobs = sweep_jobs(work, subjects, model, config)
    for count, (fold, _) in enumerate(workers.run(train_fold, jobs, of_arrays(job.folder for job in subjects)), 1):
        what = f"{fold.network.resblocks} ResBlocks, fold {fold.number}"
        logger.info("%s: %s, is tried (%d of %d)", model.name, what, count, len(jobs))
    if jobs:
        write_sweep(model.folder, jobs)


def forget(work: Path) -> None:
    """Remove a pair's work, and the work folder once no pair uses it."""
    shutil.rmtree(work)
    if not any(work.parent.iterdir()):
        work.parent.rmdir()
