"""Train: prepared travelling subjects -> a model folder with one network a fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from tqdm import tqdm

from bids_shresnet.config import Config, NetworkConfig, TrainingConfig
from bids_shresnet.diffusion.harmonics import BASIS, SMOOTHING
from bids_shresnet.diffusion.representation import volumes_of
from bids_shresnet.errors import UsageError
from bids_shresnet.files.arrays import open_arrays
from bids_shresnet.files.models import CARD, Model, dataset_record, read_model
from bids_shresnet.files.nifti import read_dwi
from bids_shresnet.files.provenance import software
from bids_shresnet.files.storage import digest, sha256, write_bytes, write_json, write_tsv
from bids_shresnet.methods.shresnet import architecture_for, fit_network
from bids_shresnet.network.checkpoint import read_record, to_bytes
from bids_shresnet.network.fitting import Epoch
from bids_shresnet.scans import Matched, Pair, Scan, Scanner, Shell

FEWEST_SUBJECTS = 3  # one to train on, one to stop by, one to be held out
FEWEST_SEEN = 2  # of them by a fold: one to train on, one to stop by


@runtime_checkable
class PreparedSubject(Protocol):
    """What the prepare step leaves of a travelling subject."""

    @property
    def source(self) -> Scan:
        """Scan on the source scanner."""

    @property
    def folder(self) -> Path:
        """Where the arrays lie."""

    @property
    def digest(self) -> str:
        """Of the scans and settings it was made from."""


@dataclass(frozen=True)
class Split:
    """Which subjects a fold trains on, stops by and never sees."""

    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class FoldJob:
    """One network to train.

    Attributes
    ----------
    number
        From 1.
    folder
        The model's.
    prepared
        Folder with the arrays of each subject.
    inputs
        Digest of each subject's scans, which the network is bound to.
    """

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

    @property
    def file(self) -> Path:
        """Its weights."""
        return self.folder / f"fold-{self.number:02d}.safetensors"

    @property
    def digest(self) -> str:
        """Of all that the weights depend on."""
        subjects = {subject: self.inputs[subject] for subject in (*self.split.training, *self.split.validation)}
        shells = [asdict(shell) for shell in self.shells]
        return digest([subjects, shells, asdict(self.network), asdict(self.training), self.seed, asdict(self.split)])


def fold_jobs(
    folder: Path, prepared: Sequence[PreparedSubject], shells: tuple[Shell, ...], config: Config
) -> tuple[FoldJob, ...]:
    """One job a fold of the cross-validation over the prepared subjects."""
    subjects = {item.source.subject: item for item in prepared}
    splits = split_subjects(list(subjects), config.training.folds)
    folders = {subject: item.folder for subject, item in subjects.items()}
    inputs = {subject: item.digest for subject, item in subjects.items()}
    settings = (shells, config.network, config.training, config.random_seed, config.device)
    return tuple(FoldJob(number, split, folder, folders, inputs, *settings) for number, split in enumerate(splits, 1))


def split_subjects(subjects: Sequence[str], folds: int) -> tuple[Split, ...]:
    """Subject-wise cross-validation: every subject is held out once, the next one decides when to stop.

    Raises
    ------
    ValueError
        With fewer than three subjects.
    UsageError
        If the folds are so few that a fold has no subject left to train on.
    """
    count = len(subjects)
    if count < FEWEST_SUBJECTS:
        msg = f"{count} travelling subjects; at least {FEWEST_SUBJECTS} are needed to train, to stop and to hold out"
        raise ValueError(msg)
    groups = [tuple(subjects[start :: min(folds, count)]) for start in range(min(folds, count))]
    if not groups or count - len(groups[0]) < FEWEST_SEEN:  # the first group is the largest
        msg = f"--training.folds {folds}: a fold of {count} subjects has none left to train on; ask for {count} folds"
        raise UsageError(msg)
    splits = []
    for number, test in enumerate(groups):
        validation = groups[(number + 1) % len(groups)][0]
        rest = tuple(subject for subject in subjects if subject not in test and subject != validation)
        splits.append(Split(rest, (validation,), test))
    return tuple(splits)


def train_fold(job: FoldJob) -> bool:
    """Train one network and write it; False if that was done before."""
    if job.file.exists() and read_record(str(job.file))["inputs"] == job.digest:
        return False
    subjects = {subject: Matched(**open_arrays(folder)) for subject, folder in job.prepared.items()}
    with _bar(job) as bar:

        def on_epoch(epoch: Epoch) -> None:
            bar.update()
            bar.set_postfix(stage=epoch.stage, validation=f"{epoch.validation_loss:.5f}")

        network, history = fit_network(
            [subjects[subject] for subject in job.split.training],
            subjects[job.split.validation[0]],
            architecture_for(job.shells, job.network),
            job.training,
            seed=job.seed + job.number,
            device=job.device,
            on_epoch=on_epoch,
        )
    record = {"inputs": job.digest, "best": history.best, "epochs": [asdict(epoch) for epoch in history.epochs]}
    write_bytes(job.file, to_bytes(network, record))
    return True


def write_model(pair: Pair, jobs: Sequence[FoldJob], dataset: Path, target: Sequence[Shell]) -> Model:
    """Write training.tsv and, last, model.json: from then on the folder is a model."""
    folder = jobs[0].folder
    records = {job.number: read_record(str(job.file)) for job in jobs}
    rows = [{"fold": job.number} | epoch for job in jobs for epoch in records[job.number]["epochs"]]
    write_tsv(folder / "training.tsv", rows, ["fold", *(field.name for field in fields(Epoch))])
    card = {
        "Name": pair.name,
        "Description": f"Turns the diffusion signal of {pair.source.label} into that of {pair.target.label}.",
        "Method": "SHResNet (Koppers et al. 2018)",
        "SourceScanner": _scanner(pair.source),
        "TargetScanner": _scanner(pair.target),
        "SHBasis": BASIS,
        "SHSmoothing": SMOOTHING,
        "Shells": _shells(pair, jobs[0].shells, target),
        "Network": records[jobs[0].number]["architecture"],
        "Training": asdict(jobs[0].training),
        "Seed": jobs[0].seed,
        "Dataset": dataset_record(dataset),
        "Subjects": dict(jobs[0].inputs),
        "Folds": [_fold(job, records[job.number]) for job in jobs],
        "Software": software(),
    }
    write_json(folder / CARD, card)
    return read_model(folder)


def other_settings(model: Model, config: Config) -> str:
    """Settings of a trained model that are not those of the command line, as text; empty if there are none."""
    asked = {**asdict(config.training), "resblocks": config.network.resblocks, "random_seed": config.random_seed}
    card = model.card
    had = {**card["Training"], "resblocks": card["Network"]["resblocks"], "random_seed": card["Seed"]}
    return ", ".join(f"{name} {had[name]}" for name, value in asked.items() if had[name] != value)


def _fold(job: FoldJob, record: Mapping[str, Any]) -> dict[str, Any]:
    best = record["epochs"][record["best"]]
    return {
        "File": job.file.name,
        "SHA256": sha256(job.file),
        "Training": list(job.split.training),
        "Validation": list(job.split.validation),
        "Test": list(job.split.test),
        "BestEpoch": record["best"],
        "TrainingLoss": best["training_loss"],
        "ValidationLoss": best["validation_loss"],
    }


def _shells(pair: Pair, source: Sequence[Shell], target: Sequence[Shell]) -> list[dict[str, Any]]:
    """What each shell is turned into; directions are those of the first subject's target scan."""
    dwi = read_dwi(pair.travelling[0][1])
    return [
        {
            "SourceBValue": here.bvalue,
            "TargetBValue": there.bvalue,
            "SHOrder": here.sh_order,
            "TargetDirections": dwi.bvecs[volumes].round(6).tolist(),
        }
        for here, there, volumes in zip(source, target, volumes_of(dwi.bvals, target), strict=True)
    ]


def _scanner(scanner: Scanner) -> dict[str, str]:
    """In the words of the sidecar it was named by."""
    return {
        "Label": scanner.label,
        "Manufacturer": scanner.manufacturer,
        "ManufacturersModelName": scanner.model,
        "DeviceSerialNumber": scanner.serial,
    }


def _bar(job: FoldJob) -> tqdm[None]:
    """A progress bar, silent where nobody looks; each fold has its line."""
    title = f"{job.folder.name} fold {job.number}"
    return tqdm(
        total=job.training.max_epochs, desc=title, position=job.number - 1, leave=False, disable=None, unit="epoch"
    )
