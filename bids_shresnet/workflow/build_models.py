"""From a pair of scanners to its model: prepare, train, evaluate; in one run, or stage by stage as jobs of a cluster.

What is done is on disk with a stamp of what it was made from, so every stage goes on where it was left.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bids_shresnet.config import Config
from bids_shresnet.errors import InputMissing, UsageError
from bids_shresnet.evaluation.evaluate import evaluate, evaluate_jobs, read_results
from bids_shresnet.evaluation.evidence import Evidence, write_proof
from bids_shresnet.evaluation.missing_shells import evaluate_missing, write_missing
from bids_shresnet.evaluation.uncertainty import calibrate_spread, to_record
from bids_shresnet.harmonization.predict import method_for
from bids_shresnet.io.storage import one_job_at_a_time
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.memory import of_scans
from bids_shresnet.runtime.workers import Workers
from bids_shresnet.training.folds import FoldJob
from bids_shresnet.training.prepare import PrepareJob, prepare
from bids_shresnet.training.train import other_settings, train_fold, write_model, write_sweep
from bids_shresnet.workflow.work_units import Units

logger = logging.getLogger(__name__)


def learned(pairs: Sequence[Pair], config: Config, root: Path, workers: Workers) -> tuple[Model, ...]:
    """The pairs' models; none where only a stage before them was asked for."""
    units = [Units(pair, config, root) for pair in pairs]
    if config.stage == "prepare":
        prepare_some(units, config.participant_label, workers)
        return ()
    if config.stage == "train":
        for one in units:
            train_some(one, config.fold, workers)
        return ()
    return tuple(trained(one, workers) for one in units)


def prepare_some(units: Sequence[Units], labels: Sequence[str], workers: Workers) -> None:
    """Prepare some travelling subjects, or all.

    Raises
    ------
    InputMissing
        If one that was asked for does not travel.
    """
    travelling = sorted({job.source.subject for one in units for job in one.subjects})
    if unknown := [label for label in labels if label not in travelling]:
        msg = f"--participant-label {' '.join(unknown)}: only travelling subjects are prepared: {' '.join(travelling)}"
        raise InputMissing(msg)
    for one in units:
        jobs = (*one.subjects, *one.repeats)
        prepared([job for job in jobs if not labels or job.source.subject in labels], one, workers)


def train_some(units: Units, numbers: Sequence[int], workers: Workers) -> None:
    """Fit some folds, or all, and with them the same folds of what the model is compared with.

    Raises
    ------
    UsageError
        If there is no such fold.
    InputMissing
        If a subject is not prepared.
    """
    if units.complete:
        known_model(units)
        return
    count = len(units.folds)
    if unknown := [number for number in numbers if not 1 <= number <= count]:
        msg = f"--fold {' '.join(map(str, unknown))}: {units.pair.name} has the folds 1 to {count}"
        raise UsageError(msg)
    stop_at_unprepared(units)
    fit([job for job in units.fits if not numbers or job.number in numbers], units, workers)


def trained(units: Units, workers: Workers) -> Model:
    """The pair's model: the one that is there, else prepared and trained now, fold by fold; `group` also proves it."""
    with one_job_at_a_time(units.folder):
        model = known_model(units)
        if model is not None and units.complete:
            return model
        if units.config.clean_workdir and units.work.exists():
            shutil.rmtree(units.work)
        if units.config.stage == "evaluate":
            stop_at_unprepared(units)
            stop_at_unfitted(units)
        prepared(units.subjects, units, workers)
        model = model or fitted_model(units, workers)
        if units.proving:
            prepared(units.repeats, units, workers)
            model = proven_model(units, model, workers)
        if units.config.work_dir is None:
            forget(units.work)
    return model


def known_model(units: Units) -> Model | None:
    """The model that was trained before."""
    model = units.known
    if model is None:
        return None
    logger.info("%s: trained before, loaded from %s", model.name, model.folder)
    if other := other_settings(model, units.config):
        logger.warning("%s was trained with %s; delete its folder to train anew", model.name, other)
    return model


def stop_at_unprepared(units: Units) -> None:
    """Name the subjects that are not prepared, and how to prepare them alone."""
    if labels := sorted({job.source.subject for job in units.unprepared}):
        remedy = f"--stage prepare --pair {units.pair.route} --participant-label {' '.join(labels)}"
        msg = f"{units.pair.name}: not prepared: sub-{' sub-'.join(labels)}. First run `group` with {remedy}"
        raise InputMissing(msg)


def stop_at_unfitted(units: Units) -> None:
    """Name the folds that are not trained, and how to train them alone."""
    lacking: dict[int, list[str]] = {}
    for job in units.unfitted:
        lacking.setdefault(job.number, []).append("model" if job.folder == units.folder else job.folder.name)
    if lacking:
        named = "; ".join(f"fold {number} ({', '.join(what)})" for number, what in sorted(lacking.items()))
        remedy = f"--stage train --pair {units.pair.route} --fold {' '.join(map(str, sorted(lacking)))}"
        msg = f"{units.pair.name}: not trained: {named}. First run `group` with {remedy}"
        raise InputMissing(msg)


def prepared(jobs: Sequence[PrepareJob], units: Units, workers: Workers) -> None:
    """Register and sample what the subjects teach."""
    need = of_scans((scan for one in jobs for scan in (one.source, one.target)), low=units.config.low_mem)
    for count, (job, _) in enumerate(workers.run(prepare, jobs, need), 1):
        logger.info("%s: sub-%s is prepared (%d of %d)", units.pair.name, job.source.subject, count, len(jobs))


def fit(jobs: Sequence[FoldJob], units: Units, workers: Workers) -> None:
    """Fit one harmonizer a job."""
    for count, (job, _) in enumerate(workers.run(train_fold, jobs, units.need), 1):
        logger.info("%s: %s (%d of %d)", units.pair.name, said_of(job, units), count, len(jobs))


def said_of(job: FoldJob, units: Units) -> str:
    """What the log says of a fold: that the model's own are trained, and the others fitted."""
    if job.folder == units.folder:
        return f"fold {job.number}{' of the missing shells' if job.missing else ''} is trained"
    return f"{job.folder.name}, fold {job.number}, is fitted"


def fitted_model(units: Units, workers: Workers) -> Model:
    """One harmonizer a fold, and one more for the shells that the source lacks if these are to be predicted."""
    config = units.config
    if config.predict_missing_shells and not units.missing:
        logger.warning("%s: the target has no shell that the source lacks; none is predicted", units.pair.name)
    fit((*units.folds, *units.missing), units, workers)
    return write_model(units.pair, units.folds, config.method, config.bids_dir, units.shells.target, units.missing)


def proven_model(units: Units, model: Model, workers: Workers) -> Model:
    """Fit the other methods on the same folds and try all of them on the subjects that these never saw."""
    config = units.config
    fit((*units.baselines, *units.sweep, *units.rivals), units, workers)
    trials = evaluate_jobs(units.work, units.subjects, units.repeats, model, units.baselines, config)
    for count, (trial, _) in enumerate(workers.run(evaluate, trials, units.need), 1):
        logger.info("%s: fold %d is evaluated (%d of %d)", model.name, trial.number, count, len(trials))
    if units.sweep:
        write_sweep(model.folder, units.sweep)
    results = read_results(trials)
    orientations = tuple(vars(item) for item in results.orientations)
    found = calibrate_spread(model, units.subjects, seed=config.random_seed, device=config.device)
    uncertainty = to_record(found) if found else None
    method = method_for(model, config.method)
    missing = errors_of_missing(units, model, workers)
    likeness = (results.agreements, results.powers, results.histograms)
    return write_proof(Evidence(model, method, results.rows, orientations, uncertainty, missing, *likeness))


def errors_of_missing(units: Units, model: Model, workers: Workers) -> Sequence[Mapping[str, Any]]:
    """How well the shells that the source lacks are predicted, beside a linear regression of the patch."""
    jobs = (*units.missing, *units.rivals)
    if not jobs:
        return ()
    return write_missing(model, [error for _, errors in workers.run(evaluate_missing, jobs) for error in errors])


def forget(work: Path) -> None:
    """Remove a pair's work, and the work folder once no pair uses it."""
    shutil.rmtree(work)
    if not any(work.parent.iterdir()):
        work.parent.rmdir()
