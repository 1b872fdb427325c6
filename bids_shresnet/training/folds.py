"""The folds of a pair's model: subjects, settings and files of every harmonizer to fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bids_shresnet.io.storage import hash_record
from bids_shresnet.methods.registry import METHOD_SPECS
from bids_shresnet.pairs import Split, TravellingSubject
from bids_shresnet.scans import Shell
from bids_shresnet.settings import FitSettings, Method, NetworkConfig, TrainingConfig
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.splits import split_subjects
from bids_shresnet.training.travelling_subjects import open_travelling_subject


@dataclass(frozen=True)
class FoldJob:
    """One harmonizer to fit.

    Attributes
    ----------
    method
        A method with a fit of its own.
    number
        Number of the fold, from 1.
    folder
        Folder of the model or baseline.
    prepared_folders
        Folder with the arrays of each subject.
    input_digests
        Digest of each subject's scans. A harmonizer is only used with the scans it was fitted on.
    has_novelty_detector
        True if a detector of out-of-distribution voxels is fitted as well.
    missing_shells
        Shells that only the target has, if these are predicted.
    """

    method: Method
    number: int
    split: Split
    folder: Path
    prepared_folders: Mapping[str, Path]
    input_digests: Mapping[str, str]
    shells: tuple[Shell, ...]
    network: NetworkConfig
    training: TrainingConfig
    seed: int
    device: str
    has_novelty_detector: bool = False
    missing_shells: tuple[Shell, ...] = ()

    @property
    def file(self) -> Path:
        """File of the harmonizer."""
        kind = "missing" if self.missing_shells else "fold"
        return self.folder / f"{kind}-{self.number:02d}.safetensors"

    @property
    def novelty_file(self) -> Path:
        """File of the novelty detector."""
        return self.folder / f"novelty-{self.number:02d}.safetensors"

    @property
    def state_file(self) -> Path:
        """State of an unfinished training."""
        return self.file.with_name(f".{self.file.name}.state")

    @property
    def digest(self) -> str:
        """Digest of everything that the weights depend on."""
        labels = (*self.split.training, *self.split.validation)
        subjects = {label: self.input_digests[label] for label in labels}
        shells = [asdict(shell) for shell in (*self.shells, *self.missing_shells)]
        settings = [self.method, asdict(self.network), asdict(self.training), self.seed]
        return hash_record([subjects, shells, settings, asdict(self.split)])


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
    return tuple(
        FoldJob(
            method=METHOD_SPECS[method].fitted_method,
            number=number,
            split=split,
            folder=folder,
            prepared_folders=folders,
            input_digests=digests,
            shells=shells,
            network=settings.network,
            training=settings.training,
            seed=settings.seed,
            device=settings.device,
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


def open_fold_subject(job: FoldJob, subject: str) -> TravellingSubject:
    """Open a subject with the signal that the job predicts: of matched or of missing shells."""
    folder = job.prepared_folders[subject]
    travelling = open_travelling_subject(folder, job.shells)
    if not job.missing_shells:
        return travelling
    assert travelling.missing_shells is not None, f"{folder} was prepared without missing shells"
    return replace(travelling, matched=travelling.missing_shells)
