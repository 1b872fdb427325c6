"""The evaluation of one fold as a job: its input, its output and its digest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bids_shresnet.diffusion.measurement_noise import MeasurementNoise
from bids_shresnet.io.arrays import ARRAY_RECORD_FILE
from bids_shresnet.io.storage import hash_file, hash_record
from bids_shresnet.outputs.model.folder import Model
from bids_shresnet.pairs import Split
from bids_shresnet.scans import Scan, Shell
from bids_shresnet.settings import Method
from bids_shresnet.training.folds import FoldJob
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.version import __version__


@dataclass(frozen=True)
class EvaluationSettings:
    """How folds are evaluated, and where the results go.

    Attributes
    ----------
    folder
        Folder for the results of each fold.
    methods
        Methods to compare.
    applied_method
        The method that harmonizes scans. It is always compared, and its agreement is recorded.
    """

    folder: Path
    methods: tuple[Method, ...]
    applied_method: Method
    seed: int
    device: str


@dataclass(frozen=True)
class EvaluateJob:
    """One fold, with everything that its held-out subjects are evaluated with.

    Attributes
    ----------
    number
        Number of the fold, from 1.
    prepared_folders
        Folder with the arrays of each subject.
    repeat_folders
        Folder with the arrays of the target's two scans, for subjects that were scanned twice.
    sources
        Source scan of each subject, by label.
    shells, target_bvalues
        Shells of the source, and their b-values on the target, s/mm2.
    noise
        Noise of the target, learned from the fold's training subjects; None if it is not known.
    applied_method
        The method that harmonizes scans; only its agreement with the target is stored.
    fitted_files
        File of each method that has a fit of its own.
    file
        File of the results.
    region_names
        Names of the labels of the target's parcellation, for subjects that have one.
    """

    number: int
    split: Split
    prepared_folders: Mapping[str, Path]
    repeat_folders: Mapping[str, Path]
    sources: Mapping[str, Scan]
    shells: tuple[Shell, ...]
    target_bvalues: tuple[float, ...]
    noise: MeasurementNoise | None
    methods: tuple[Method, ...]
    applied_method: Method
    fitted_files: Mapping[Method, Path]
    file: Path
    seed: int
    device: str
    region_names: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    @property
    def histograms_file(self) -> Path:
        """File of the joint histograms."""
        return self.file.with_suffix(".safetensors")

    @property
    def slices_file(self) -> Path:
        """File of the slices of FA and MD."""
        return self.file.with_name(f"{self.file.stem}-slices.safetensors")

    @property
    def digest(self) -> str:
        """Digest of everything that the results depend on."""
        fits = {method: hash_file(path) for method, path in self.fitted_files.items()}
        subjects = [
            hash_file(self.prepared_folders[subject] / ARRAY_RECORD_FILE)
            for subject in (*self.split.training, *self.split.test)
        ]
        repeats = {
            subject: hash_file(self.repeat_folders[subject] / ARRAY_RECORD_FILE)
            for subject in self.split.test
            if subject in self.repeat_folders
        }
        methods = [list(self.methods), self.applied_method]
        target = [self.target_bvalues, asdict(self.noise) if self.noise else None]
        return hash_record(
            [__version__, asdict(self.split), methods, fits, subjects, repeats, target, self.seed]
        )


def evaluation_jobs(
    prepared: Sequence[PrepareJob],
    repeats: Sequence[PrepareJob],
    model: Model,
    baselines: Sequence[FoldJob],
    settings: EvaluationSettings,
) -> tuple[EvaluateJob, ...]:
    """Make one job per fold of the model."""
    prepared_folders = {job.source.subject: job.folder for job in prepared}
    sources = {job.source.subject: job.source for job in prepared}
    repeat_folders = {job.source.subject: job.folder for job in repeats}
    region_names = {
        job.source.subject: job.target.parcellation.names
        for job in prepared
        if job.target.parcellation
    }
    methods = tuple(dict.fromkeys((*settings.methods, settings.applied_method)))
    return tuple(
        EvaluateJob(
            number=number,
            split=split,
            prepared_folders=prepared_folders,
            repeat_folders=repeat_folders,
            sources=sources,
            shells=model.source_shells,
            target_bvalues=model.target_bvalues,
            noise=model.card.folds[number - 1].measurement_noise,
            methods=methods,
            applied_method=settings.applied_method,
            fitted_files=_fitted_files(model, baselines, number),
            file=settings.folder / f"evaluation-{number:02d}.json",
            seed=settings.seed,
            device=settings.device,
            region_names=region_names,
        )
        for number, split in enumerate(model.splits, 1)
    )


def _fitted_files(model: Model, baselines: Sequence[FoldJob], number: int) -> dict[Method, Path]:
    """Files of the baselines and of the model itself for one fold."""
    files = {job.method: job.file for job in baselines if job.number == number}
    files[model.card.fitted_as] = model.folder / model.card.folds[number - 1].weights.file
    return files
