"""Train: prepared travelling subjects -> a model folder with one fitted harmonizer a fold."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from bids_shresnet.config import Config
from bids_shresnet.diffusion.harmonics import BASIS, SMOOTHING
from bids_shresnet.diffusion.novelty import fit_novelty
from bids_shresnet.diffusion.shells import volumes_of
from bids_shresnet.io.nifti import read_dwi
from bids_shresnet.io.safetensors import read_record, to_bytes
from bids_shresnet.io.storage import one_job_at_a_time, sha256, write_bytes, write_json, write_tsv
from bids_shresnet.methods.harmonizer import Fitted, Lesson
from bids_shresnet.methods.registry import RECIPES
from bids_shresnet.network.checkpoint import read_state, state_to_bytes
from bids_shresnet.network.distributed import agreed, first
from bids_shresnet.network.schedules import State
from bids_shresnet.network.training import Epoch
from bids_shresnet.outputs.model_folder import CARD, SWEEP, TRAINING, Model, dataset_record, read_model
from bids_shresnet.outputs.sidecars import software
from bids_shresnet.pairs import Pair
from bids_shresnet.runtime.progress import bar
from bids_shresnet.scans import Scanner, Shell
from bids_shresnet.settings import METHOD_NAMES, Method
from bids_shresnet.training.folds import FoldJob, lesson_of

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
    write_tsv(folder / SWEEP, rows)


def train_fold(job: FoldJob) -> bool:
    """Fit one harmonizer, and the guard if it has one, and write them; False if that was done before.

    Only one job at a time fits a fold. Of processes that share a training all fit, and the first one writes.
    """
    with one_job_at_a_time(job.file) if first() else nullcontext():
        done = agreed(is_fitted(job))
        fitted = None if done else _fitted(job)
        if first():
            if fitted is not None:
                _write_fold(job, fitted)
            job.state.unlink(missing_ok=True)
    return not done


def is_fitted(job: FoldJob) -> bool:
    """Whether its files are there and are of what it would be fitted on."""
    complete = job.file.exists() and (job.guard.exists() or not job.guarded)
    return complete and bool(read_record(str(job.file))["inputs"] == job.digest)


def _fitted(job: FoldJob) -> Fitted:
    """Fit, going on where the same fit was stopped before."""
    subjects = {subject: lesson_of(job, subject) for subject in (*job.split.training, *job.split.validation)}
    inputs = job.digest
    with bar(job.training.max_epochs, f"{job.method} fold {job.number}", "epoch") as shown:

        def on_epoch(epoch: Epoch) -> None:
            shown.update()
            shown.set_postfix(stage=epoch.stage, validation=f"{epoch.validation_loss:.5f}")
            logger.debug("%s fold %d, epoch %d: %s", job.method, job.number, epoch.epoch, epoch)

        def save(state: State) -> None:
            if first():
                write_bytes(job.state, state_to_bytes(state, inputs))

        lesson = Lesson(
            training=[subjects[subject] for subject in job.split.training],
            validation=subjects[job.split.validation[0]],
            shells=job.shells,
            missing=job.missing,
            network=job.network,
            schedule=job.training,
            seed=job.seed + job.number,
            device=job.device,
            on_epoch=on_epoch,
            saved=_saved(job, inputs),
            save=save,
        )
        return RECIPES[job.method].fit(lesson)


def _write_fold(job: FoldJob, fitted: Fitted) -> None:
    """The guard first: a fold whose weights are there is whole."""
    if job.guarded:
        seen = (lesson_of(job, subject).source for subject in (*job.split.training, *job.split.validation))
        novelty = fit_novelty(seen, seed=job.seed)
        write_bytes(job.guard, to_bytes(novelty.arrays(), {"inputs": job.digest}))
    record = {
        "inputs": job.digest,
        "method": job.method,
        "harmonizer": fitted.harmonizer.record(),
        "best": fitted.best,
        "epochs": [asdict(epoch) for epoch in fitted.epochs],
        "notes": dict(fitted.notes or {}),
    }
    write_bytes(job.file, to_bytes(fitted.harmonizer.arrays(), record))


def _saved(job: FoldJob, inputs: str) -> State | None:
    """The state of the same training that was stopped, if there is one."""
    state = read_state(str(job.state), inputs) if job.state.exists() else None
    if state is not None:
        logger.info("%s, fold %d: goes on after epoch %d", job.method, job.number, len(state["epochs"]))
    return state


def write_model(
    pair: Pair,
    jobs: Sequence[FoldJob],
    method: Method,
    dataset: Path,
    target: Sequence[Shell],
    missing: Sequence[FoldJob] = (),
) -> Model:
    """Write training.tsv and, last, model.json: from then on the folder is a model.

    `missing` are the jobs of the same folds for the shells that the source lacks.
    """
    folder = jobs[0].folder
    records = {job.number: read_record(str(job.file)) for job in jobs}
    rows = [{"fold": job.number} | epoch for job in jobs for epoch in records[job.number]["epochs"]]
    write_tsv(folder / TRAINING, rows, ["fold", *(field.name for field in fields(Epoch))])
    orders = [shell.sh_order for shell in jobs[0].shells]
    shells = _shells(pair, [Shell(s.bvalue, order) for s, order in zip(target, orders, strict=True)])
    folds = [_fold(job, records[job.number]) for job in jobs]
    for fold, job in zip(folds, missing, strict=False):
        fold["MissingShells"] = {"File": job.file.name, "SHA256": sha256(job.file)}
    card = {
        "Name": pair.name,
        "Description": f"Turns the diffusion signal of {pair.source.label} into that of {pair.target.label}.",
        "Method": method,
        "MethodName": METHOD_NAMES[method],
        "FittedAs": jobs[0].method,
        "SourceScanner": _scanner(pair.source),
        "TargetScanner": _scanner(pair.target),
        "SHBasis": BASIS,
        "SHSmoothing": SMOOTHING,
        "Shells": [{"SourceBValue": here.bvalue, **shell} for here, shell in zip(jobs[0].shells, shells, strict=True)],
        **({"MissingShells": _shells(pair, missing[0].missing)} if missing else {}),
        "Network": asdict(jobs[0].network),
        "Harmonizer": records[jobs[0].number]["harmonizer"],
        "Training": asdict(jobs[0].training),
        "Seed": jobs[0].seed,
        "Dataset": dataset_record(dataset),
        "Subjects": dict(jobs[0].inputs),
        "Folds": folds,
        "Software": software(),
    }
    write_json(folder / CARD, card)
    return read_model(folder)


def other_settings(model: Model, config: Config) -> str:
    """Settings of a trained model that are not those of the command line, as text; empty if there are none."""
    asked = {**asdict(config.training), **asdict(config.network), "random_seed": config.random_seed}
    card = model.card
    had = {**card["Training"], **card["Network"], "random_seed": card["Seed"]}
    if config.predict_missing_shells and not model.missing_shells:
        asked, had = asked | {"predict_missing_shells": True}, had | {"predict_missing_shells": False}
    if RECIPES[config.method].fitted_as != card["FittedAs"]:
        asked, had = asked | {"method": config.method}, had | {"method": card["FittedAs"]}
    return ", ".join(f"{name} {had.get(name)}" for name, value in asked.items() if had.get(name) != value)


def _fold(job: FoldJob, record: Mapping[str, Any]) -> dict[str, Any]:
    best = record["epochs"][record["best"]] if record["epochs"] else None
    losses = {"TrainingLoss": best["training_loss"], "ValidationLoss": best["validation_loss"]} if best else {}
    return {
        "File": job.file.name,
        "SHA256": sha256(job.file),
        "Novelty": {"File": job.guard.name, "SHA256": sha256(job.guard)},
        "Training": list(job.split.training),
        "Validation": list(job.split.validation),
        "Test": list(job.split.test),
        "BestEpoch": record["best"],
        **losses,
        **({"Notes": record["notes"]} if record["notes"] else {}),
    }


def _shells(pair: Pair, shells: Sequence[Shell]) -> list[dict[str, Any]]:
    """Shells of the target; their directions are those of the first subject's scan."""
    dwi = read_dwi(pair.travelling[0][1])
    return [
        {
            "TargetBValue": shell.bvalue,
            "SHOrder": shell.sh_order,
            "TargetDirections": dwi.bvecs[volumes].round(6).tolist(),
        }
        for shell, volumes in zip(shells, volumes_of(dwi.bvals, shells), strict=True)
    ]


def _scanner(scanner: Scanner) -> dict[str, str]:
    """In the words of the sidecar it was named by."""
    return {
        "Label": scanner.label,
        "Manufacturer": scanner.manufacturer,
        "ManufacturersModelName": scanner.model,
        "DeviceSerialNumber": scanner.serial,
    }
