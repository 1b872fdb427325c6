from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.errors import InputMissing
from bids_shresnet.io.arrays import ARRAY_RECORD_FILE
from bids_shresnet.io.storage import write_json
from bids_shresnet.scans import Shell
from bids_shresnet.settings import NetworkConfig
from bids_shresnet.training.folds import FoldJob, TrainingHalves, open_training_subjects
from tests.methods.heads import SHELLS


def change_input(job: FoldJob, subject: str) -> FoldJob:
    """The job after a scan of a subject has changed."""
    return replace(job, input_digests={**job.input_digests, subject: "new"})


def exchange_roles(job: FoldJob) -> FoldJob:
    """The job with a training subject that stops the training, and the other way round."""
    first, *others = job.split.training
    validation = (first, *job.split.validation[1:])
    split = replace(job.split, training=(job.split.validation[0], *others), validation=validation)
    return replace(job, split=split)


CHANGES: dict[str, Callable[[FoldJob], FoldJob]] = {
    "method": lambda job: replace(job, method="golkov"),
    "seed": lambda job: replace(job, seed=1),
    "network": lambda job: replace(job, network=NetworkConfig(resblocks=2)),
    "training": lambda job: replace(job, training=replace(job.training, max_epochs=1)),
    "shells": lambda job: replace(job, shells=(Shell(1100.0, 2),)),
    "a training subject": lambda job: change_input(job, job.split.training[0]),
    "halves": lambda job: replace(job, halves=TrainingHalves("source", SHELLS)),
    "the roles of subjects": exchange_roles,
    "the validation subject": lambda job: change_input(job, job.split.validation[0]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_digest_of_a_fold_depends_on_everything_that_its_weights_depend_on(
    change: str, jobs: tuple[FoldJob, ...]
) -> None:
    assert CHANGES[change](jobs[0]).digest != jobs[0].digest


def test_the_digest_of_a_fold_does_not_depend_on_held_out_scans_and_folders(
    jobs: tuple[FoldJob, ...],
) -> None:
    job = jobs[0]
    moved = replace(job, folder=Path("elsewhere"), prepared_folders={})
    assert moved.digest == job.digest
    assert change_input(job, job.split.test[0]).digest == job.digest


def test_a_job_of_halves_has_both_halves_of_every_scan_as_its_subjects(
    jobs: tuple[FoldJob, ...],
) -> None:
    labels = ("01", "03")
    plain = open_training_subjects(jobs[0], labels)
    assert len(plain) == 2
    for scanner in ("source", "target"):
        job = replace(jobs[0], halves=TrainingHalves(scanner, SHELLS))
        halves = open_training_subjects(job, labels)
        expected = [half for subject in plain for half in getattr(subject, f"{scanner}_halves")]
        assert len(halves) == len(expected) == 4
        for subject, half in zip(halves, expected, strict=True):
            np.testing.assert_array_equal(subject.matched.signal, half.signal)
        assert all(subject.source.order_2_power is None for subject in halves)
    assert all(subject.source.order_2_power is not None for subject in plain)


def test_what_another_run_has_prepared_meanwhile_is_not_trained_on(
    jobs: tuple[FoldJob, ...],
) -> None:
    job = jobs[0]
    first, *_ = job.split.training
    assert len(open_training_subjects(job, [first])) == 1
    record = job.prepared_folders[first] / ARRAY_RECORD_FILE
    write_json(record, {"inputs": "of other scans"})
    with pytest.raises(InputMissing, match="another run writes to"):
        open_training_subjects(job, [first])
    record.unlink()  # it has begun to write
    with pytest.raises(InputMissing, match="another run writes to"):
        open_training_subjects(job, [first])
