"""The jobs that fit a model's folds, its baselines, and the network that denoises the target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bids_shresnet.methods.registry import METHOD_SPECS
from bids_shresnet.pairs import ALL_SUBJECTS, Split
from bids_shresnet.scans import Shell
from bids_shresnet.settings import FitSettings, Method, TrainingConfig
from bids_shresnet.training.folds import FoldJob, TrainingHalves
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.splits import split_for_all, split_subjects

DENOISING_VOXELS = 40_000  # per epoch
DENOISING_EPOCHS = 5
RANDOM_START_METHODS: tuple[Method, ...] = ("golkov", "cdmri2017")
RANDOM_START_FACTOR = 2  # on the epochs of networks that do not start from a regression


def fold_jobs(
    folder: Path,
    prepared: Sequence[PrepareJob],
    shells: tuple[Shell, ...],
    settings: FitSettings,
    method: Method,
) -> tuple[FoldJob, ...]:
    """Make one job per fold of the cross-validation over the prepared subjects."""
    folders = {job.source.subject: job.folder for job in prepared}
    digests = {job.source.subject: job.digest for job in prepared}
    splits = split_subjects(list(folders), settings.training.folds)
    fitted_method = METHOD_SPECS[method].fitted_method
    halves = None
    if fitted_method == "denoised":
        halves = TrainingHalves("source", prepared[0].shells.source_halves)
    return tuple(
        FoldJob(
            method=fitted_method,
            number=number,
            split=split,
            folder=folder,
            prepared_folders=folders,
            input_digests=digests,
            shells=shells,
            network=settings.network,
            training=method_training(fitted_method, settings),
            seed=settings.seed,
            device=settings.device,
            halves=halves,
        )
        for number, split in enumerate(splits, 1)
    )


def model_fold_jobs(
    folder: Path,
    prepared: Sequence[PrepareJob],
    shells: tuple[Shell, ...],
    settings: FitSettings,
    method: Method,
) -> tuple[FoldJob, ...]:
    """Make the jobs of the model itself, which fit a novelty detector as well."""
    jobs = fold_jobs(folder, prepared, shells, settings, method)
    return tuple(replace(job, has_novelty_detector=True) for job in jobs)


def all_subjects_job(folds: Sequence[FoldJob]) -> FoldJob:
    """Make the job of the network for new subjects, which is trained on all travelling subjects."""
    first = folds[0]
    split = split_for_all(tuple(first.prepared_folders), first.training)
    return replace(first, number=ALL_SUBJECTS, split=split)


def baseline_methods(methods: Sequence[Method], model_method: Method) -> tuple[Method, ...]:
    """List the methods to fit for the comparison: all except the model's own, each once."""
    fitted = dict.fromkeys(METHOD_SPECS[method].fitted_method for method in methods)
    return tuple(method for method in fitted if method != model_method)


def baseline_jobs(
    work: Path,
    prepared: Sequence[PrepareJob],
    shells: tuple[Shell, ...],
    settings: FitSettings,
    methods: Sequence[Method],
) -> tuple[FoldJob, ...]:
    """Make jobs on the model's folds for the methods that it is compared with."""
    jobs: list[FoldJob] = []
    for method in methods:
        jobs += fold_jobs(work / method, prepared, shells, settings, method)
    return tuple(jobs)


def target_denoiser_job(
    folder: Path, prepared: Sequence[PrepareJob], settings: FitSettings
) -> FoldJob | None:
    """Make the job of the network that denoises the target's scans.

    All travelling subjects train it but the first, which stops the training. None if halves of
    the target's scans have too few directions.
    """
    shells = prepared[0].shells.target_halves
    if not shells:
        return None
    subjects = tuple(job.source.subject for job in prepared)
    return FoldJob(
        method="denoised",
        number=1,
        split=Split(training=subjects[1:], validation=subjects[:1], test=()),
        folder=folder,
        prepared_folders={job.source.subject: job.folder for job in prepared},
        input_digests={job.source.subject: job.digest for job in prepared},
        shells=prepared[0].shells.source,
        network=settings.network,
        training=shorten_training(settings.training),
        seed=settings.seed,
        device=settings.device,
        halves=TrainingHalves("target", shells),
    )


def method_training(method: Method, settings: FitSettings) -> TrainingConfig:
    """Return the training of a method: short for denoising, long for networks that start random."""
    training = settings.training
    if method == "denoised":
        return shorten_training(training)
    starts_random = method in RANDOM_START_METHODS or not settings.network.skip
    if starts_random and training.schedule == "annealed":
        return replace(training, max_epochs=RANDOM_START_FACTOR * training.max_epochs)
    return training


def shorten_training(training: TrainingConfig) -> TrainingConfig:
    """Training of a denoising network: twice the voxels and epochs did not lower its loss."""
    return replace(
        training,
        schedule="annealed",
        voxels_per_epoch=min(training.voxels_per_epoch or DENOISING_VOXELS, DENOISING_VOXELS),
        max_epochs=min(training.max_epochs, DENOISING_EPOCHS),
    )


def sweep_jobs(
    work: Path,
    prepared: Sequence[PrepareJob],
    shells: tuple[Shell, ...],
    settings: FitSettings,
    resblocks: Sequence[int],
) -> tuple[FoldJob, ...]:
    """Make jobs on the same folds for other numbers of ResBlocks, as in the paper's Table 1."""
    jobs: list[FoldJob] = []
    for count in dict.fromkeys(resblocks):
        network = replace(settings.network, resblocks=count, calibrate=False)
        other = replace(settings, network=network)
        jobs += fold_jobs(work / f"resblocks-{count}", prepared, shells, other, "shresnet")
    return tuple(jobs)


def missing_shell_jobs(
    jobs: Sequence[FoldJob], missing_shells: tuple[Shell, ...]
) -> tuple[FoldJob, ...]:
    """Make jobs on the same folds that predict the missing shells with the network, if any."""
    if not missing_shells:
        return ()
    return tuple(
        replace(job, method="shresnet", has_novelty_detector=False, missing_shells=missing_shells)
        for job in jobs
    )


def missing_shell_baselines(work: Path, jobs: Sequence[FoldJob]) -> tuple[FoldJob, ...]:
    """Make jobs on the same folds that predict the missing shells with a linear regression."""
    folder = work / "missing_shells"
    return tuple(replace(job, method="patch_linear", folder=folder) for job in jobs)
