"""Train one fold: prepared travelling subjects -> files of its harmonizer and novelty detector."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict

from bids_shresnet.diffusion.measurement_noise import learn_measurement_noise
from bids_shresnet.diffusion.novelty import fit_novelty_detector
from bids_shresnet.io.safetensors import read_record, serialize_arrays
from bids_shresnet.io.storage import hold_lock, write_bytes
from bids_shresnet.methods.harmonizer import FitResult, FitTask, Harmonizer
from bids_shresnet.methods.registry import METHOD_SPECS
from bids_shresnet.network.schedules import TrainingState
from bids_shresnet.network.training_loop import Epoch
from bids_shresnet.runtime.leftovers import remove_leftovers
from bids_shresnet.runtime.progress import progress_bar
from bids_shresnet.training.folds import FoldJob, open_fold_subject, open_training_subjects
from bids_shresnet.training.resume import read_state, write_state

logger = logging.getLogger(__name__)


def train_fold(job: FoldJob) -> bool:
    """Fit a harmonizer and write it; False if that was done before.

    A lock lets only one process at a time work on a fold. A training that was stopped resumes.
    """
    with hold_lock(job.file):
        remove_leftovers(job.file.parent)
        is_done = is_fitted(job)
        if not is_done:
            _write_fold(job, _fit_fold(job))
        job.state_file.unlink(missing_ok=True)
    return not is_done


def is_fitted(job: FoldJob) -> bool:
    """Return True if the files of a fold exist and were fitted on the job's inputs."""
    has_novelty_file = job.novelty_file.exists() or not job.has_novelty_detector
    if not (job.file.exists() and has_novelty_file):
        return False
    return bool(read_record(job.file)["inputs"] == job.digest)


def _fit_fold(job: FoldJob) -> FitResult[Harmonizer]:
    """Fit with a bar that counts epochs."""
    with progress_bar(job.training.max_epochs, f"{job.method} fold {job.number}", "epoch") as bar:

        def show_epoch(epoch: Epoch) -> None:
            bar.update()
            bar.set_postfix(stage=epoch.stage, loss=f"{epoch.training_loss:.5f}")
            log_epoch(job, epoch)

        return METHOD_SPECS[job.method].fit(_make_task(job, show_epoch))


def log_epoch(job: FoldJob, epoch: Epoch) -> None:
    """Log an epoch with the share of the fold's work that it ends, for the time left."""
    fraction = epoch.epoch / job.training.max_epochs
    text = "%s fold %d, epoch %d: %s loss %.5f"
    kind = "training" if epoch.validation_loss is None else "validation"
    values = (job.method, job.number, epoch.epoch, kind, epoch.loss)
    logger.debug(text, *values, extra={"fraction": fraction})


def _make_task(job: FoldJob, on_epoch: Callable[[Epoch], None]) -> FitTask:
    """Open the subjects of a fold and the saved state of its training."""
    inputs = job.digest

    def save_state(state: TrainingState) -> None:
        write_state(job.state_file, state, inputs)

    return FitTask(
        training=open_training_subjects(job, job.split.training),
        validation=next(iter(open_training_subjects(job, job.split.validation[:1])), None),
        shells=job.halves.shells if job.halves else job.shells,
        missing_shells=job.missing_shells,
        network=job.network,
        training_config=job.training,
        seed=job.seed + job.number,
        device=job.device,
        on_epoch=on_epoch,
        saved_state=_read_saved_state(job, inputs),
        save_state=save_state,
        registrations=job.registrations,
    )


def _read_saved_state(job: FoldJob, inputs_digest: str) -> TrainingState | None:
    state = read_state(job.state_file, inputs_digest)
    if state is not None:
        epochs = len(state["epochs"])
        logger.info("%s, fold %d: goes on after epoch %d", job.method, job.number, epochs)
    return state


def _write_fold(job: FoldJob, fitted: FitResult[Harmonizer]) -> None:
    """Write the files of a fold; the harmonizer comes last, because it marks the fold as done."""
    if job.has_novelty_detector:
        _write_novelty_detector(job)
    record = {
        "inputs": job.digest,
        "method": job.method,
        "harmonizer": fitted.harmonizer.record(),
        "best_epoch": fitted.best_epoch,
        "epochs": [asdict(epoch) for epoch in fitted.epochs],
        "notes": dict(fitted.notes or {}),
        "measurement_noise": _learn_noise(job),
    }
    write_bytes(job.file, serialize_arrays(fitted.harmonizer.arrays(), record))


def _learn_noise(job: FoldJob) -> dict[str, float] | None:
    """Learn the noise of the target from the training subjects; None if it is not known."""
    noise = learn_measurement_noise(
        [open_fold_subject(job, subject) for subject in job.split.training]
    )
    return asdict(noise) if noise else None


def _write_novelty_detector(job: FoldJob) -> None:
    """Fit the detector on the source scans of the training and validation subjects."""
    subjects = (*job.split.training, *job.split.validation)
    images = (open_fold_subject(job, subject).source for subject in subjects)
    detector = fit_novelty_detector(images, seed=job.seed)
    write_bytes(job.novelty_file, serialize_arrays(detector.arrays(), {"inputs": job.digest}))
