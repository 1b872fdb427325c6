from __future__ import annotations

import signal
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bids_shresnet.diffusion.novelty import fit_novelty_detector
from bids_shresnet.errors import Interrupted
from bids_shresnet.io.safetensors import read_arrays, read_record, serialize_arrays
from bids_shresnet.io.storage import hash_file, write_bytes
from bids_shresnet.methods.registry import METHOD_SPECS, load_harmonizer
from bids_shresnet.network.schedules import TrainingState
from bids_shresnet.pairs import TravellingSubject
from bids_shresnet.settings import METHODS, FitSettings, Method
from bids_shresnet.training.fold_jobs import fold_jobs
from bids_shresnet.training.folds import FoldJob, open_training_subjects
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.resume import write_state
from bids_shresnet.training.train_fold import is_fitted, train_fold
from bids_shresnet.training.travelling_subjects import open_travelling_subject
from tests.methods.heads import SHELLS, head, mask_patches, with_power

pytestmark = pytest.mark.slow

FITTED_METHODS = sorted({METHOD_SPECS[method].fitted_method for method in METHODS})


def file_hashes(jobs: Sequence[FoldJob]) -> list[str]:
    return [hash_file(file) for job in jobs for file in (job.file, job.novelty_file)]


def test_a_fold_is_trained_once_and_again_with_the_same_weights_if_its_file_is_missing(
    jobs: tuple[FoldJob, ...],
) -> None:
    assert [train_fold(job) for job in jobs] == [True] * 4
    before = file_hashes(jobs)
    assert len(set(before)) == 8
    assert [train_fold(job) for job in jobs] == [False] * 4
    jobs[1].file.unlink()
    assert [train_fold(job) for job in jobs] == [False, True, False, False]
    assert file_hashes(jobs) == before


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"method": "golkov"}, {"has_novelty_detector": True}]
)
def test_a_fold_of_other_inputs_or_without_all_its_files_is_not_fitted(
    changes: dict[str, Any], jobs: tuple[FoldJob, ...]
) -> None:
    job = replace(jobs[0], has_novelty_detector=False)
    assert not is_fitted(job)
    write_bytes(job.file, serialize_arrays({}, {"inputs": job.digest}))
    assert is_fitted(job)
    assert not is_fitted(replace(job, **changes))


def test_folds_of_equal_subjects_have_other_weights_by_their_numbers(
    jobs: tuple[FoldJob, ...],
) -> None:
    """Their spread would else be too small for the uncertainty."""
    other = replace(jobs[0], number=9)
    for job in (jobs[0], other):
        assert train_fold(job)
    assert jobs[0].split == other.split
    first = read_arrays(jobs[0].file)
    second = read_arrays(other.file)
    assert not np.array_equal(first["network.post.weight"], second["network.post.weight"])


def test_a_fold_is_trained_and_stopped_by_its_own_subjects_and_no_other(
    jobs: tuple[FoldJob, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    def watch(job: FoldJob, labels: Sequence[str]) -> list[TravellingSubject]:
        opened.append(tuple(labels))
        return open_training_subjects(job, labels)

    monkeypatch.setattr("bids_shresnet.training.train_fold.open_training_subjects", watch)
    train_fold(jobs[1])
    split = jobs[1].split
    assert opened == [split.training, split.validation[:1]]
    assert {*split.training, *split.validation}.isdisjoint(split.test)


def test_of_two_jobs_that_train_a_fold_at_a_time_one_waits_and_finds_it_done(
    jobs: tuple[FoldJob, ...],
) -> None:
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(train_fold, [jobs[0], replace(jobs[0])])) == [False, True]


def test_a_fold_knows_the_noise_of_the_target_in_its_training_scans(
    jobs: tuple[FoldJob, ...],
) -> None:
    train_fold(jobs[0])
    noise = read_record(jobs[0].file)["measurement_noise"]
    assert noise["level"] == pytest.approx(0.02, rel=1e-3)
    assert (noise["direction_count"], noise["b0_count"]) == (7, 1)


def test_a_fold_that_was_stopped_resumes_and_ends_with_the_same_weights(
    jobs: tuple[FoldJob, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = replace(jobs[0], training=replace(jobs[0].training, max_epochs=4))
    uninterrupted = replace(job, folder=tmp_path / "uninterrupted")
    train_fold(uninterrupted)

    def write_state_and_stop(path: Path, state: TrainingState, inputs_digest: str) -> None:
        write_state(path, state, inputs_digest)
        raise Interrupted(signal.SIGTERM.name)

    with monkeypatch.context() as patch:
        patch.setattr("bids_shresnet.training.train_fold.write_state", write_state_and_stop)
        for _ in range(2):
            with pytest.raises(Interrupted):
                train_fold(job)
    assert job.state_file.exists()
    assert not job.file.exists()
    assert train_fold(job)
    assert not job.state_file.exists()
    assert file_hashes([job]) == file_hashes([uninterrupted])


def test_a_fold_does_not_resume_from_the_state_of_other_inputs(
    jobs: tuple[FoldJob, ...], tmp_path: Path
) -> None:
    job = jobs[0]
    other = replace(job, seed=1)
    write_state(job.state_file, {"epochs": [], "best_epoch": -1}, other.digest)
    train_fold(job)
    fresh = replace(job, folder=tmp_path / "fresh")
    train_fold(fresh)
    assert hash_file(job.file) == hash_file(fresh.file)


def test_the_novelty_detector_is_fitted_on_training_and_validation_scans_only(
    jobs: tuple[FoldJob, ...],
) -> None:
    job = jobs[0]
    train_fold(job)
    subjects = (*job.split.training, *job.split.validation)
    assert job.split.test[0] not in subjects
    folders = [job.prepared_folders[subject] for subject in subjects]
    images = [open_travelling_subject(folder, SHELLS).source for folder in folders]
    expected = fit_novelty_detector(images, seed=job.seed).arrays()
    arrays = read_arrays(job.novelty_file)
    assert arrays.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)


# Heads of 7 voxels are too small to be registered; tests/methods/test_registry.py has larger ones.
@pytest.mark.parametrize("method", [name for name in FITTED_METHODS if name != "linear_rish"])
def test_a_fold_of_every_method_can_be_loaded_and_names_its_method(
    method: Method, prepared: list[PrepareJob], fit_settings: FitSettings, tmp_path: Path
) -> None:
    job = fold_jobs(tmp_path / method, prepared, SHELLS, fit_settings, method)[0]
    assert train_fold(job)
    assert read_record(job.file)["method"] == method
    assert not job.novelty_file.exists()
    image = with_power(head(9, (7, 7, 7)))
    harmonizer = load_harmonizer(job.file, method, "cpu")
    columns = 2 if METHOD_SPECS[method].is_map_method else 6
    assert harmonizer.predict(image).shape == (len(mask_patches(image)), columns)
