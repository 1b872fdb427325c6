"""Write a model: the fitted folds of a scanner pair -> a model folder with its card."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from bids_shresnet.config import Config
from bids_shresnet.diffusion.harmonics import LAPLACE_BELTRAMI_WEIGHT, SH_BASIS_NAME
from bids_shresnet.diffusion.shells import find_shell_volumes
from bids_shresnet.io.nifti import read_dwi
from bids_shresnet.io.safetensors import read_record
from bids_shresnet.io.storage import hash_file, write_json, write_tsv
from bids_shresnet.methods.registry import METHOD_SPECS
from bids_shresnet.network.training_loop import Epoch
from bids_shresnet.outputs.model_folder import (
    CARD_FILE,
    RESBLOCKS_TSV,
    TRAINING_TSV,
    Model,
    dataset_record,
    read_model,
)
from bids_shresnet.outputs.sidecars import package_versions
from bids_shresnet.pairs import Pair
from bids_shresnet.scans import Scanner, Shell
from bids_shresnet.settings import METHOD_NAMES, Method
from bids_shresnet.training.folds import FoldJob

logger = logging.getLogger(__name__)


def write_sweep(folder: Path, jobs: Sequence[FoldJob]) -> None:
    """Write the validation error of every network of a sweep into the model's folder."""
    records = [(job, read_record(str(job.file))) for job in jobs]
    rows = [
        {
            "resblocks": job.network.resblocks,
            "fold": job.number,
            "validation_loss": record["epochs"][record["best"]]["validation_loss"],
        }
        for job, record in records
    ]
    write_tsv(folder / RESBLOCKS_TSV, rows)


def write_model(
    pair: Pair,
    jobs: Sequence[FoldJob],
    method: Method,
    dataset: Path,
    target_shells: Sequence[Shell],
    missing_shell_jobs: Sequence[FoldJob] = (),
) -> Model:
    """Write training.tsv and, last, model.json: from then on the folder is a model.

    `missing` are the jobs of the same folds for the shells that the source lacks.
    """
    folder = jobs[0].folder
    records = {job.number: read_record(str(job.file)) for job in jobs}
    rows = [{"fold": job.number} | epoch for job in jobs for epoch in records[job.number]["epochs"]]
    write_tsv(folder / TRAINING_TSV, rows, ["fold", *(field.name for field in fields(Epoch))])
    orders = [shell.sh_order for shell in jobs[0].shells]
    shells = _read_shell_records(
        pair, [Shell(s.bvalue, order) for s, order in zip(target_shells, orders, strict=True)]
    )
    folds = [_fold_record(job, records[job.number]) for job in jobs]
    for fold, job in zip(folds, missing_shell_jobs, strict=False):
        fold["MissingShells"] = {"File": job.file.name, "SHA256": hash_file(job.file)}
    card = {
        "Name": pair.name,
        "Description": f"Turns the diffusion signal of {pair.source.label} into that of {pair.target.label}.",
        "Method": method,
        "MethodName": METHOD_NAMES[method],
        "FittedAs": jobs[0].method,
        "SourceScanner": _scanner_record(pair.source),
        "TargetScanner": _scanner_record(pair.target),
        "SHBasis": SH_BASIS_NAME,
        "SHSmoothing": LAPLACE_BELTRAMI_WEIGHT,
        "Shells": [
            {"SourceBValue": here.bvalue, **shell}
            for here, shell in zip(jobs[0].shells, shells, strict=True)
        ],
        **(
            {"MissingShells": _read_shell_records(pair, missing_shell_jobs[0].missing_shells)}
            if missing_shell_jobs
            else {}
        ),
        "Network": asdict(jobs[0].network),
        "Harmonizer": records[jobs[0].number]["harmonizer"],
        "Training": asdict(jobs[0].training),
        "Seed": jobs[0].seed,
        "Dataset": dataset_record(dataset),
        "Subjects": dict(jobs[0].input_digests),
        "Folds": folds,
        "Software": package_versions(),
    }
    write_json(folder / CARD_FILE, card)
    return read_model(folder)


def settings_difference(model: Model, config: Config) -> str:
    """Settings of a trained model that are not those of the command line, as text; empty if there are none."""
    asked = {**asdict(config.training), **asdict(config.network), "random_seed": config.random_seed}
    card = model.card
    had = {**card["Training"], **card["Network"], "random_seed": card["Seed"]}
    if config.predict_missing_shells and not model.missing_shells:
        asked, had = (
            asked | {"predict_missing_shells": True},
            had | {"predict_missing_shells": False},
        )
    if METHOD_SPECS[config.method].fitted_method != card["FittedAs"]:
        asked, had = asked | {"method": config.method}, had | {"method": card["FittedAs"]}
    return ", ".join(
        f"{name} {had.get(name)}" for name, value in asked.items() if had.get(name) != value
    )


def _fold_record(job: FoldJob, record: Mapping[str, Any]) -> dict[str, Any]:
    best = record["epochs"][record["best"]] if record["epochs"] else None
    losses = (
        {"TrainingLoss": best["training_loss"], "ValidationLoss": best["validation_loss"]}
        if best
        else {}
    )
    return {
        "File": job.file.name,
        "SHA256": hash_file(job.file),
        "Novelty": {"File": job.novelty_file.name, "SHA256": hash_file(job.novelty_file)},
        "Training": list(job.split.training),
        "Validation": list(job.split.validation),
        "Test": list(job.split.test),
        "BestEpoch": record["best"],
        **losses,
        **({"Notes": record["notes"]} if record["notes"] else {}),
    }


def _read_shell_records(pair: Pair, shells: Sequence[Shell]) -> list[dict[str, Any]]:
    """Shells of the target; their directions are those of the first subject's scan."""
    dwi = read_dwi(pair.travelling_scans[0][1])
    return [
        {
            "TargetBValue": shell.bvalue,
            "SHOrder": shell.sh_order,
            "TargetDirections": dwi.bvecs[volumes].round(6).tolist(),
        }
        for shell, volumes in zip(shells, find_shell_volumes(dwi.bvals, shells), strict=True)
    ]


def _scanner_record(scanner: Scanner) -> dict[str, str]:
    """In the words of the sidecar it was named by."""
    return {
        "Label": scanner.label,
        "Manufacturer": scanner.manufacturer,
        "ManufacturersModelName": scanner.model,
        "DeviceSerialNumber": scanner.serial,
    }
