from __future__ import annotations

import csv
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.config import ModelSettings
from bids_shresnet.diffusion.novelty import fit_novelty_detector
from bids_shresnet.diffusion.shells import PairShells
from bids_shresnet.errors import Interrupted
from bids_shresnet.io.safetensors import read_arrays, read_record
from bids_shresnet.io.storage import hash_file, read_tsv
from bids_shresnet.methods.registry import METHOD_SPECS
from bids_shresnet.network.schedules import TrainingState
from bids_shresnet.outputs.model_card import ModelFile
from bids_shresnet.outputs.model_folder import Model
from bids_shresnet.pairs import Pair
from bids_shresnet.scans import Scan, Scanner, Shell
from bids_shresnet.settings import METHODS, FitSettings, Method, NetworkConfig, TrainingConfig
from bids_shresnet.training.folds import (
    FoldJob,
    baseline_jobs,
    baseline_methods,
    fold_jobs,
    model_fold_jobs,
    sweep_jobs,
)
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.resume import write_state
from bids_shresnet.training.train_fold import train_fold
from bids_shresnet.training.travelling_subjects import (
    open_travelling_subject,
    write_travelling_subject,
)
from bids_shresnet.training.write_model import settings_difference, write_model, write_sweep
from tests.datasets import Series, write_tree
from tests.factories import make_scan
from tests.methods.heads import SHELLS, head, mask_patches, travelling
from tests.models import constant_model

pytestmark = pytest.mark.slow

QUICK = TrainingConfig(
    schedule="two-stage",
    max_epochs=2,
    adam_epochs=1,
    voxels_per_epoch=30,
    adam_batch=16,
    sgd_batch=16,
)
FIT = FitSettings(training=QUICK, network=NetworkConfig(resblocks=1, hidden=3))


def scan(root: Path, subject: str, session: str) -> Scan:
    stem = root / f"sub-{subject}/ses-{session}/dwi/sub-{subject}_ses-{session}_dwi"
    return make_scan(
        stem,
        entities={"subject": subject, "session": session},
        scanner=Scanner(session),
        bvals=tuple(map(float, Series().bvals)),
        dataset=root,
    )


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    names = [(subject, session) for subject in ("01", "02", "03") for session in ("ge", "prisma")]
    tree = {f"sub-{sub}/ses-{ses}/dwi/sub-{sub}_ses-{ses}_dwi": Series() for sub, ses in names}
    root = write_tree(tmp_path / "bids", tree)
    travelling = tuple(
        (scan(root, subject, "ge"), scan(root, subject, "prisma")) for subject in ("01", "02", "03")
    )
    return Pair(
        Scanner("ge", "GE", "SIGNA", "1"), Scanner("prisma", "Siemens", "Prisma", "2"), travelling
    )


@pytest.fixture
def prepared(pair: Pair, tmp_path: Path) -> list[PrepareJob]:
    """Small heads of three subjects."""
    found = []
    for seed, (source, target) in enumerate(pair.travelling_scans):
        folder = tmp_path / "work" / source.subject
        write_travelling_subject(
            folder, travelling(head(seed, (7, 7, 7)), 7, sigma=0.02), {"inputs": source.subject}
        )
        found.append(PrepareJob(source, target, PairShells(SHELLS, SHELLS), folder))
    return found


@pytest.fixture
def jobs(pair: Pair, prepared: list[PrepareJob], tmp_path: Path) -> tuple[FoldJob, ...]:
    return model_fold_jobs(tmp_path / "models" / pair.name, prepared, SHELLS, FIT, "shresnet")


def modelled(pair: Pair, jobs: tuple[FoldJob, ...]) -> Model:
    for job in jobs:
        train_fold(job)
    return write_model(pair, jobs, "shresnet", pair.travelling_scans[0][0].dataset, SHELLS)


def test_a_fold_is_trained_once_and_killed_runs_end_with_the_same_weights(
    jobs: tuple[FoldJob, ...],
) -> None:
    assert [train_fold(job) for job in jobs] == [True] * 3
    before = [hash_file(file) for job in jobs for file in (job.file, job.novelty_file)]
    assert len(set(before)) == 6
    assert [train_fold(job) for job in jobs] == [False] * 3
    jobs[1].file.unlink()
    assert [train_fold(job) for job in jobs] == [False, True, False]
    assert [hash_file(file) for job in jobs for file in (job.file, job.novelty_file)] == before


def test_a_fold_that_was_stopped_goes_on_and_ends_with_the_same_weights(
    jobs: tuple[FoldJob, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = replace(jobs[0], training=replace(QUICK, max_epochs=4))
    elsewhere = replace(job, folder=tmp_path / "elsewhere")
    train_fold(elsewhere)

    def stopped(path: Path, state: TrainingState, inputs_digest: str) -> None:
        write_state(path, state, inputs_digest)
        raise Interrupted(signal.SIGTERM.name)

    with monkeypatch.context() as patch:
        patch.setattr("bids_shresnet.training.train_fold.write_state", stopped)
        for _ in range(2):
            with pytest.raises(Interrupted):
                train_fold(job)
    assert job.state_file.exists()
    assert not job.file.exists()
    assert train_fold(job)
    assert not job.state_file.exists()
    for file, same in ((job.file, elsewhere.file), (job.novelty_file, elsewhere.novelty_file)):
        assert hash_file(file) == hash_file(same)


def test_the_state_of_another_training_is_not_gone_on_from(
    jobs: tuple[FoldJob, ...], tmp_path: Path
) -> None:
    job, other = jobs[0], replace(jobs[0], seed=1, folder=tmp_path / "elsewhere")
    write_state(job.state_file, {"epochs": [], "best_epoch": -1}, other.digest)
    train_fold(job)
    train_fold(replace(job, folder=tmp_path / "fresh"))
    assert hash_file(job.file) == hash_file(replace(job, folder=tmp_path / "fresh").file)


def test_a_guard_knows_the_scans_that_its_fold_has_seen_and_no_other(
    jobs: tuple[FoldJob, ...],
) -> None:
    job = jobs[0]
    train_fold(job)
    seen = (*job.split.training, *job.split.validation)
    assert job.split.test[0] not in seen
    expected = fit_novelty_detector(
        (open_travelling_subject(job.prepared_folders[name], SHELLS).source for name in seen),
        seed=job.seed,
    )
    found = read_arrays(job.novelty_file)
    assert found.keys() == expected.arrays().keys()
    for name, array in expected.arrays().items():
        np.testing.assert_array_equal(found[name], array, strict=True)


CHANGES: dict[str, Callable[[FoldJob], FoldJob]] = {
    "method": lambda job: replace(job, method="golkov"),
    "seed": lambda job: replace(job, seed=1),
    "network": lambda job: replace(job, network=NetworkConfig(resblocks=2)),
    "training": lambda job: replace(job, training=replace(QUICK, max_epochs=1)),
    "shells": lambda job: replace(job, shells=(Shell(1100.0, 2),)),
    "a training subject": lambda job: replace(
        job, input_digests={**job.input_digests, job.split.training[0]: "new"}
    ),
    "the validation subject": lambda job: replace(
        job, input_digests={**job.input_digests, job.split.validation[0]: "new"}
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_network_is_bound_to_all_it_depends_on(change: str, jobs: tuple[FoldJob, ...]) -> None:
    assert CHANGES[change](jobs[0]).digest != jobs[0].digest


def test_a_network_is_not_bound_to_the_scans_it_never_saw_nor_to_where_they_lie(
    jobs: tuple[FoldJob, ...],
) -> None:
    job = jobs[0]
    held_out = replace(job, input_digests={**job.input_digests, job.split.test[0]: "new"})
    elsewhere = replace(job, folder=Path("elsewhere"), prepared_folders={})
    assert held_out.digest == elsewhere.digest == job.digest


def test_a_model_names_its_folds_splits_and_subjects_and_keeps_every_epoch(
    pair: Pair, jobs: tuple[FoldJob, ...]
) -> None:
    model = modelled(pair, jobs)
    assert model.name == "from-ge_to-prisma"
    assert (model.source, model.target) == ("ge", "prisma")
    assert model.source_shells == SHELLS
    world = Series().bvecs[1:] * [-1, 1, 1]  # FSL counts x from the right on this grid
    np.testing.assert_allclose(model.target_directions[0], world, atol=1e-5)
    assert list(model.card.subjects) == ["01", "02", "03"]
    for job, fold in zip(jobs, model.card.folds, strict=True):
        assert fold.weights == ModelFile(job.file.name, hash_file(job.file))
        assert fold.novelty == ModelFile(job.novelty_file.name, hash_file(job.novelty_file))
        assert fold.split == job.split
        epochs = read_record(job.file)["epochs"]
        assert fold.validation_loss == min(epoch["validation_loss"] for epoch in epochs)
    with (model.folder / "training.tsv").open(newline="") as file:
        rows = [
            (row["fold"], row["epoch"], row["stage"])
            for row in csv.DictReader(file, delimiter="\t")
        ]
    assert rows == [
        (fold, epoch, stage) for fold in "123" for epoch, stage in (("0", "adam"), ("1", "sgd"))
    ]


def test_a_model_is_none_until_its_card_is_written(pair: Pair, jobs: tuple[FoldJob, ...]) -> None:
    for job in jobs[:2]:
        train_fold(job)
    with pytest.raises(FileNotFoundError):
        write_model(pair, jobs, "shresnet", pair.travelling_scans[0][0].dataset, SHELLS)
    assert not (jobs[0].folder / "model.json").exists()


def test_settings_that_a_model_was_not_trained_with_are_named(tmp_path: Path) -> None:
    fit = FitSettings()
    settings = ModelSettings()
    model = constant_model(
        tmp_path / "model",
        write_tree(tmp_path / "bids", {}),
        training=fit.training,
        network=fit.network,
        seed=fit.seed,
    )
    assert settings_difference(model, fit, settings) == ""
    asked = replace(fit, seed=7, training=replace(fit.training, max_epochs=99))
    assert (
        settings_difference(model, asked, settings)
        == f"max_epochs {fit.training.max_epochs}, random_seed {fit.seed}"
    )
    asked = replace(fit, network=NetworkConfig(skip=False))
    assert settings_difference(model, asked, settings) == "skip True"
    for method, difference in (("golkov", "method shresnet"), ("shresnet_projected", "")):
        other = ModelSettings(method=method)
        assert settings_difference(model, fit, other) == difference


@pytest.mark.parametrize(
    "method", sorted({METHOD_SPECS[name].fitted_method for name in METHODS} - {"linear_rish"})
)
def test_a_fold_of_every_method_can_be_loaded_and_says_what_it_is(
    method: str, pair: Pair, prepared: list[PrepareJob], tmp_path: Path
) -> None:
    """But of linear RISH: heads of 7 voxels cannot be registered; tests/methods/test_registry.py has larger ones."""
    job = fold_jobs(tmp_path / method, prepared, SHELLS, FIT, method)[0]
    assert train_fold(job)
    record, image = read_record(job.file), head(9, (7, 7, 7))
    found = METHOD_SPECS[method].load(read_arrays(job.file), record["harmonizer"], "cpu")
    assert record["method"] == method
    assert found.predict(image).shape == (len(mask_patches(image)), 6)
    assert not job.novelty_file.exists()


def test_baselines_are_fitted_on_the_models_own_folds_and_what_it_has_learned_is_not_fitted_twice(
    prepared: list[PrepareJob], jobs: tuple[FoldJob, ...], tmp_path: Path
) -> None:
    compared: tuple[Method, ...] = ("shresnet", "shresnet_projected", "golkov", "order_gain")
    methods = baseline_methods(compared, "shresnet")
    found = baseline_jobs(tmp_path / "work", prepared, SHELLS, FIT, methods)
    assert [(job.method, job.number) for job in found] == [
        (m, n) for m in ("golkov", "order_gain") for n in (1, 2, 3)
    ]
    assert [job.split for job in found] == [job.split for job in jobs] * 2
    assert len({job.file for job in (*found, *jobs)}) == 9


def test_a_sweep_keeps_the_validation_error_of_each_number_of_blocks_on_each_fold(
    pair: Pair, prepared: list[PrepareJob], jobs: tuple[FoldJob, ...], tmp_path: Path
) -> None:
    model = modelled(pair, jobs)
    found = sweep_jobs(tmp_path / "work", prepared, SHELLS, FIT, (0, 2, 0))
    assert [(job.network.resblocks, job.number) for job in found] == [
        (b, n) for b in (0, 2) for n in (1, 2, 3)
    ]
    assert [job.split for job in found] == [job.split for job in jobs] * 2
    for job in found:
        train_fold(job)
    write_sweep(model.folder, found)
    for row, job in zip(read_tsv(model.folder / "resblocks.tsv"), found, strict=True):
        losses = [epoch["validation_loss"] for epoch in read_record(job.file)["epochs"]]
        assert (int(row["resblocks"]), int(row["fold"])) == (job.network.resblocks, job.number)
        assert float(row["validation_loss"]) == min(losses)
