"""A fold of a pair's model: subjects, settings and files of one harmonizer to fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from bids_shresnet.errors import InputMissing
from bids_shresnet.io.arrays import read_array_record
from bids_shresnet.io.storage import hash_record
from bids_shresnet.pairs import ALL_SUBJECTS, Split, TravellingSubject
from bids_shresnet.scans import Shell
from bids_shresnet.settings import Method, NetworkConfig, TrainingConfig
from bids_shresnet.training.travelling_subjects import open_travelling_subject

TARGET_DENOISER_FILE = "target_denoiser.safetensors"


@dataclass(frozen=True)
class TrainingHalves:
    """Halves of the scans of one scanner, between which a network is trained, and their shells."""

    scanner: Literal["source", "target"]
    shells: tuple[Shell, ...]


@dataclass(frozen=True)
class FoldJob:
    """One harmonizer to fit.

    Attributes
    ----------
    method
        A method with a fit of its own.
    number
        Number of the fold, from 1; `ALL_SUBJECTS` for the network that is applied to new subjects.
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
    halves
        Halves of scans to train on instead of pairs of scans.
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
    halves: TrainingHalves | None = None

    @property
    def file(self) -> Path:
        """File of the harmonizer."""
        if self.halves and self.halves.scanner == "target":
            return self.folder / TARGET_DENOISER_FILE
        kind = "missing" if self.missing_shells else "fold"
        return self.folder / f"{kind}-{self.label}.safetensors"

    @property
    def novelty_file(self) -> Path:
        """File of the novelty detector."""
        return self.folder / f"novelty-{self.label}.safetensors"

    @property
    def label(self) -> str:
        """The fold in names of files."""
        return "all" if self.number == ALL_SUBJECTS else f"{self.number:02d}"

    @property
    def state_file(self) -> Path:
        """State of an unfinished training."""
        return self.file.with_name(f".{self.file.name}.state")

    @property
    def registrations(self) -> Path:
        """Folder of registrations that all folds share, beside the prepared subjects."""
        return next(iter(self.prepared_folders.values())).parent / "registrations"

    @property
    def digest(self) -> str:
        """Digest of everything that the weights depend on."""
        labels = (*self.split.training, *self.split.validation)
        subjects = {label: self.input_digests[label] for label in labels}
        shells = [asdict(shell) for shell in (*self.shells, *self.missing_shells)]
        settings = [self.method, asdict(self.network), asdict(self.training), self.seed]
        halves = asdict(self.halves) if self.halves else None
        return hash_record([subjects, shells, settings, asdict(self.split), halves])


def open_fold_subject(job: FoldJob, subject: str) -> TravellingSubject:
    """Open a subject with the signal that the job predicts: of matched or of missing shells.

    Raises
    ------
    InputMissing
        If another run has replaced what was prepared, or is about to.
    """
    folder = job.prepared_folders[subject]
    travelling = open_travelling_subject(folder, job.shells)
    record = read_array_record(folder)  # what is open by now stays as it is
    if record is None or record["inputs"] != job.input_digests[subject]:
        msg = f"another run writes to {folder}: start this one again, with another --work-dir"
        raise InputMissing(msg)
    if not job.missing_shells:
        return travelling
    assert travelling.missing_shells is not None, f"{folder} was prepared without missing shells"
    return replace(travelling, matched=travelling.missing_shells)


def open_training_subjects(job: FoldJob, labels: Sequence[str]) -> list[TravellingSubject]:
    """Open some subjects of a fold; where it trains on halves, each half of a scan is one.

    The power of a whole scan is not that of its half, so that halves have none.
    """
    subjects = [open_fold_subject(job, label) for label in labels]
    if job.halves is None:
        return subjects
    name = f"{job.halves.scanner}_halves"
    pairs = [(subject, half) for subject in subjects for half in getattr(subject, name)]
    return [
        replace(subject, matched=half, source=replace(subject.source, order_2_power=None))
        for subject, half in pairs
    ]
