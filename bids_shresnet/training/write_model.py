"""Write a model: the fitted folds of a scanner pair -> a model folder with its card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from bids_shresnet.config import ModelSettings
from bids_shresnet.diffusion.harmonics import LAPLACE_BELTRAMI_WEIGHT, SH_BASIS_NAME
from bids_shresnet.diffusion.measurement_noise import MeasurementNoise
from bids_shresnet.diffusion.shells import find_shell_volumes
from bids_shresnet.inputs.acquisition import read_acquisition
from bids_shresnet.io.images.nifti import read_dwi
from bids_shresnet.io.safetensors import read_record
from bids_shresnet.io.storage import hash_file
from bids_shresnet.methods.registry import METHOD_SPECS
from bids_shresnet.network.training_loop import Epoch
from bids_shresnet.outputs.described_tables import write_described_table
from bids_shresnet.outputs.model.card import (
    DenoiserRecord,
    FoldRecord,
    GivenImages,
    MissingShellRecord,
    ModelCard,
    ModelFile,
    ScannerRecord,
    ShellRecord,
)
from bids_shresnet.outputs.model.folder import (
    RESBLOCKS_TSV,
    TRAINING_TSV,
    Model,
    read_dataset_record,
    write_card,
)
from bids_shresnet.outputs.sidecars import package_versions
from bids_shresnet.pairs import Pair
from bids_shresnet.scans import Dwi, Scanner, Shell
from bids_shresnet.settings import METHOD_NAMES, FitSettings, Method
from bids_shresnet.training.fold_jobs import method_training
from bids_shresnet.training.folds import FoldJob


def write_model(
    pair: Pair,
    fits: Sequence[FoldJob],
    method: Method,
    dataset: Path,
    target_shells: Sequence[Shell],
    missing_shell_jobs: Sequence[FoldJob] = (),
    target_denoiser: FoldJob | None = None,
) -> Model:
    """Write training.tsv and, last, model.json: from then on the folder is a model.

    `fits` are the jobs of the folds and, last, of the fit to all subjects. `missing_shell_jobs` are
    those of the same fits for the missing shells, `target_denoiser` is that of the network that
    denoises the target's scans.
    """
    *jobs, all_subjects = fits
    folder = all_subjects.folder
    records = [read_record(job.file) for job in fits]
    _write_epochs(folder / TRAINING_TSV, jobs, records[: len(jobs)])
    source_scan, target_scan = pair.travelling_scans[0]
    target_dwi = read_dwi(target_scan)
    missing_files = {job.number: _file_record(job.file) for job in missing_shell_jobs}
    missing_shells = missing_shell_jobs[0].missing_shells if missing_shell_jobs else ()
    fit_records = tuple(
        _fold_record(job, record, missing_files.get(job.number))
        for job, record in zip(fits, records, strict=True)
    )
    card = ModelCard(
        name=pair.name,
        description=(
            f"Turns the diffusion signal of {pair.source.label} into that of {pair.target.label}."
        ),
        method=method,
        method_name=METHOD_NAMES[method],
        fitted_as=jobs[0].method,
        source_scanner=_scanner_record(pair.source),
        target_scanner=_scanner_record(pair.target),
        source_acquisition=read_acquisition(source_scan),
        target_acquisition=read_acquisition(target_scan),
        sh_basis=SH_BASIS_NAME,
        sh_smoothing=LAPLACE_BELTRAMI_WEIGHT,
        shells=_shell_records(target_dwi, jobs[0].shells, target_shells),
        missing_shells=_missing_shell_records(target_dwi, missing_shells),
        network=jobs[0].network,
        harmonizer=records[0]["harmonizer"],
        training=jobs[0].training,
        seed=jobs[0].seed,
        dataset=read_dataset_record(dataset),
        subjects=dict(jobs[0].input_digests),
        given_images=_count_given_images(pair),
        folds=fit_records[:-1],
        all_subjects=fit_records[-1],
        target_denoiser=_denoiser_record(target_denoiser) if target_denoiser else None,
        software=package_versions(),
    )
    return write_card(folder, card)


def write_sweep(folder: Path, jobs: Sequence[FoldJob]) -> None:
    """Write the validation error of every network of a sweep into the model's folder."""
    rows = []
    for job in jobs:
        record = read_record(job.file)
        loss = record["epochs"][record["best_epoch"]]["validation_loss"]
        rows.append(
            {"resblocks": job.network.resblocks, "fold": job.number, "validation_loss": loss}
        )
    write_described_table(folder / RESBLOCKS_TSV, rows)


def settings_difference(model: Model, fit: FitSettings, settings: ModelSettings) -> str:
    """Describe how a trained model differs from the settings of this run; empty if it does not."""
    card = model.card
    training = method_training(card.fitted_as, fit)
    requested = {**asdict(training), **asdict(fit.network), "random_seed": fit.seed}
    trained = {**asdict(card.training), **asdict(card.network), "random_seed": card.seed}
    if settings.predict_missing_shells and not card.missing_shells:
        requested["predict_missing_shells"] = True
        trained["predict_missing_shells"] = False
    if METHOD_SPECS[settings.method].fitted_method != card.fitted_as:
        requested["method"] = settings.method
        trained["method"] = card.fitted_as
    return ", ".join(
        f"{name} {trained[name]}" for name in requested if trained[name] != requested[name]
    )


def _write_epochs(
    path: Path, jobs: Sequence[FoldJob], records: Sequence[Mapping[str, Any]]
) -> None:
    """Write one row per fold and epoch."""
    rows = [
        {"fold": job.number} | epoch
        for job, record in zip(jobs, records, strict=True)
        for epoch in record["epochs"]
    ]
    write_described_table(path, rows, ["fold", *(field.name for field in fields(Epoch))])


def _count_given_images(pair: Pair) -> GivenImages:
    scans = [scan for scans in pair.travelling_scans for scan in scans]
    targets = [target for _, target in pair.travelling_scans]
    return GivenImages(
        masks=sum(scan.mask is not None for scan in scans),
        tissues=sum(target.segmentation is not None for target in targets),
    )


def _fold_record(
    job: FoldJob, record: Mapping[str, Any], missing_shells: ModelFile | None
) -> FoldRecord:
    best = record["epochs"][record["best_epoch"]] if record["epochs"] else {}
    return FoldRecord(
        weights=_file_record(job.file),
        novelty=_file_record(job.novelty_file),
        missing_shells=missing_shells,
        training=job.split.training,
        validation=job.split.validation,
        test=job.split.test,
        best_epoch=record["best_epoch"],
        measurement_noise=_noise_record(record["measurement_noise"]),
        training_loss=best.get("training_loss"),
        validation_loss=best.get("validation_loss"),
        notes=record["notes"] or None,
    )


def _noise_record(record: Mapping[str, Any] | None) -> MeasurementNoise | None:
    return MeasurementNoise(**record) if record else None


def _denoiser_record(job: FoldJob) -> DenoiserRecord:
    record = read_record(job.file)
    return DenoiserRecord(
        weights=_file_record(job.file),
        training=job.split.training,
        validation=job.split.validation,
        best_epoch=record["best_epoch"],
        validation_loss=record["epochs"][record["best_epoch"]]["validation_loss"],
    )


def _file_record(file: Path) -> ModelFile:
    return ModelFile(file=file.name, sha256=hash_file(file))


def _shell_records(
    target_dwi: Dwi, source_shells: Sequence[Shell], target_shells: Sequence[Shell]
) -> tuple[ShellRecord, ...]:
    """Make the records of the matched shells; both scanners have the source's order."""
    directions = _target_directions(target_dwi, target_shells)
    return tuple(
        ShellRecord(
            source_bvalue=source.bvalue,
            target_bvalue=target.bvalue,
            sh_order=source.sh_order,
            source_direction_count=source.direction_count,
            target_directions=table,
        )
        for source, target, table in zip(source_shells, target_shells, directions, strict=True)
    )


def _missing_shell_records(
    target_dwi: Dwi, shells: Sequence[Shell]
) -> tuple[MissingShellRecord, ...]:
    directions = _target_directions(target_dwi, shells)
    return tuple(
        MissingShellRecord(
            target_bvalue=shell.bvalue, sh_order=shell.sh_order, target_directions=table
        )
        for shell, table in zip(shells, directions, strict=True)
    )


def _target_directions(
    target_dwi: Dwi, shells: Sequence[Shell]
) -> list[tuple[tuple[float, ...], ...]]:
    """Directions of each shell in a scan of the target."""
    bvecs = target_dwi.bvecs.round(6)
    volumes_by_shell = find_shell_volumes(target_dwi.bvals, shells)
    return [tuple(map(tuple, bvecs[volumes].tolist())) for volumes in volumes_by_shell]


def _scanner_record(scanner: Scanner) -> ScannerRecord:
    return ScannerRecord(
        label=scanner.label,
        manufacturer=scanner.manufacturer,
        manufacturers_model_name=scanner.model,
        device_serial_number=scanner.serial,
    )
