"""The folds of a pair's model: which harmonizer is fitted on which subjects, and where it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bids_shresnet.config import Config
from bids_shresnet.io.storage import digest
from bids_shresnet.methods.registry import RECIPES
from bids_shresnet.pairs import Split, Travelling
from bids_shresnet.scans import Shell
from bids_shresnet.settings import Method, NetworkConfig, TrainingConfig
from bids_shresnet.training.splits import PreparedSubject, split_subjects
from bids_shresnet.training.travelling import open_travelling


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
    prepared
        Folder with the arrays of each subject.
    inputs
        Digest of each subject's scans, which the harmonizer is bound to.
    guarded
        Whether the guard against unlikely voxels is fitted as well.
    missing
        Shells of the target that the source lacks, if it is these that are predicted.
    """

    method: Method
    number: int
    split: Split
    folder: Path
    prepared: Mapping[str, Path]
    inputs: Mapping[str, str]
    shells: tuple[Shell, ...]
    network: NetworkConfig
    training: TrainingConfig
    seed: int
    device: str
    guarded: bool = False
    missing: tuple[Shell, ...] = ()

    @property
    def file(self) -> Path:
        """Its weights."""
        return self.folder / f"{'missing' if self.missing else 'fold'}-{self.number:02d}.safetensors"

    @property
    def guard(self) -> Path:
        """What its training subjects' scans look like, to tell what is unlike them."""
        return self.folder / f"novelty-{self.number:02d}.safetensors"

    @property
    def state(self) -> Path:
        """Where its training was stopped; only while that is not over."""
        return self.file.with_name(f".{self.file.name}.state")

    @property
    def digest(self) -> str:
        """Of all that the weights depend on."""
        subjects = {subject: self.inputs[subject] for subject in (*self.split.training, *self.split.validation)}
        shells = [asdict(shell) for shell in (*self.shells, *self.missing)]
        settings = [self.method, asdict(self.network), asdict(self.training), self.seed]
        return digest([subjects, shells, settings, asdict(self.split)])


def fold_jobs(
    folder: Path,
    prepared: Sequence[PreparedSubject],
    shells: tuple[Shell, ...],
    config: Config,
    method: Method | None = None,
) -> tuple[FoldJob, ...]:
    """One job a fold of the cross-validation over the prepared subjects; by default of the method to apply."""
    subjects = {item.source.subject: item for item in prepared}
    splits = split_subjects(list(subjects), config.training.folds)
    folders = {subject: item.folder for subject, item in subjects.items()}
    inputs = {subject: item.digest for subject, item in subjects.items()}
    settings = (shells, config.network, config.training, config.random_seed, config.device)
    fitted = RECIPES[method or config.method].fitted_as
    return tuple(
        FoldJob(fitted, number, split, folder, folders, inputs, *settings, guarded=method is None)
        for number, split in enumerate(splits, 1)
    )


def baseline_jobs(
    work: Path, prepared: Sequence[PreparedSubject], shells: tuple[Shell, ...], config: Config, own: Method
) -> tuple[FoldJob, ...]:
    """Jobs for the methods that the model is compared with, on its own folds; what it has learned itself is there."""
    fitted = dict.fromkeys(RECIPES[name].fitted_as for name in config.methods)
    return tuple(
        job for method in fitted if method != own for job in fold_jobs(work / method, prepared, shells, config, method)
    )


def sweep_jobs(
    work: Path, prepared: Sequence[PreparedSubject], shells: tuple[Shell, ...], config: Config
) -> tuple[FoldJob, ...]:
    """Networks with other numbers of ResBlocks on the same folds, as in the paper's Table 1."""
    jobs: list[FoldJob] = []
    for count in dict.fromkeys(config.resblocks):
        other = replace(config, network=replace(config.network, resblocks=count, calibrate=False))
        jobs += fold_jobs(work / f"resblocks-{count}", prepared, shells, other, "shresnet")
    return tuple(jobs)


def missing_jobs(jobs: Sequence[FoldJob], missing: tuple[Shell, ...]) -> tuple[FoldJob, ...]:
    """The same folds for the shells that the source lacks; none if there are none. The method is always the network."""
    if not missing:
        return ()
    return tuple(replace(job, method="shresnet", guarded=False, missing=missing) for job in jobs)


def rivals(work: Path, jobs: Sequence[FoldJob]) -> tuple[FoldJob, ...]:
    """The regression on the same folds, for the comparison."""
    return tuple(replace(job, method="patch_linear", folder=work / "missing_shells") for job in jobs)


def lesson_of(job: FoldJob, subject: str) -> Travelling:
    """What a subject teaches: the shells that both scanners have, or those that the source lacks."""
    opened = open_travelling(job.prepared[subject], job.shells)
    if not job.missing:
        return opened
    assert opened.missing is not None, f"{job.prepared[subject]} was prepared without missing shells"
    return replace(opened, matched=opened.missing)
