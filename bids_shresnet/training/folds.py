"""The folds of a pair's model: which harmonizer is fitted on which subjects, and where it is kept."""

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
        One that has a fit of its own.
    number
        From 1.
    folder
        The model's.
    prepared_folders
        Folder with the arrays of each subject.
    input_digests
        Digest of each subject's scans, which the harmonizer is bound to.
    has_novelty_detector
        Whether the guard against unlikely voxels is fitted as well.
    missing_shells
        Shells of the target that the source lacks, if it is these that are predicted.
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
        """Its weights."""
        return (
            self.folder
            / f"{'missing' if self.missing_shells else 'fold'}-{self.number:02d}.safetensors"
        )

    @property
    def novelty_file(self) -> Path:
        """What its training subjects' scans look like, to tell what is unlike them."""
        return self.folder / f"novelty-{self.number:02d}.safetensors"

    @property
    def state_file(self) -> Path:
        """Where its training was stopped; only while that is not over."""
        return self.file.with_name(f".{self.file.name}.state")

    @property
    def digest(self) -> str:
        """Of all that the weights depend on."""
        subjects = {
            subject: self.input_digests[subject]
            for subject in (*self.split.training, *self.split.validation)
        }
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
    subjects = {item.source.subject: item for item in prepared}
    splits = split_subjects(list(subjects), settings.training.folds)
    folders = {subject: item.folder for subject, item in subjects.items()}
    inputs = {subject: item.digest for subject, item in subjects.items()}
    return tuple(
        FoldJob(
            method=METHOD_SPECS[method].fitted_method,
            number=number,
            split=split,
            folder=folder,
            prepared_folders=folders,
            input_digests=inputs,
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
    """List the methods to fit for the comparison: all but the model's own, each once."""
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
    """The same folds for the shells that the source lacks; none if there are none. The method is always the network."""
    if not missing_shells:
        return ()
    return tuple(
        replace(job, method="shresnet", has_novelty_detector=False, missing_shells=missing_shells)
        for job in jobs
    )


def missing_shell_baselines(work: Path, jobs: Sequence[FoldJob]) -> tuple[FoldJob, ...]:
    """The regression on the same folds, for the comparison."""
    return tuple(
        replace(job, method="patch_linear", folder=work / "missing_shells") for job in jobs
    )


def open_fold_subject(job: FoldJob, subject: str) -> TravellingSubject:
    """What a subject teaches: the shells that both scanners have, or those that the source lacks."""
    opened = open_travelling_subject(job.prepared_folders[subject], job.shells)
    if not job.missing_shells:
        return opened
    assert opened.missing_shells is not None, (
        f"{job.prepared_folders[subject]} was prepared without missing shells"
    )
    return replace(opened, matched=opened.missing_shells)
