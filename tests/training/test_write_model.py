from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bids_shresnet.config import ModelSettings
from bids_shresnet.errors import BadInput
from bids_shresnet.io.safetensors import read_record
from bids_shresnet.io.storage import hash_file, read_tsv
from bids_shresnet.outputs.model.card import GivenImages, ModelFile
from bids_shresnet.outputs.model.folder import (
    CARD_FILE,
    RESBLOCKS_TSV,
    TRAINING_TSV,
    Model,
    read_model,
)
from bids_shresnet.pairs import Pair
from bids_shresnet.settings import AppliedMethod, FitSettings, NetworkConfig
from bids_shresnet.training.fold_jobs import sweep_jobs, target_denoiser_job
from bids_shresnet.training.folds import FoldJob
from bids_shresnet.training.prepare import PrepareJob
from bids_shresnet.training.train_fold import train_fold
from bids_shresnet.training.write_model import settings_difference, write_model, write_sweep
from tests.datasets import Series, write_tree
from tests.methods.heads import SHELLS
from tests.models import constant_model


def write_shresnet(pair: Pair, jobs: Sequence[FoldJob]) -> Model:
    return write_model(pair, jobs, "shresnet", pair.travelling_scans[0][0].dataset, SHELLS)


def lowest_validation_loss(job: FoldJob) -> float:
    epochs = read_record(job.file)["epochs"]
    return float(min(epoch["validation_loss"] for epoch in epochs))


@pytest.fixture
def model(pair: Pair, jobs: tuple[FoldJob, ...]) -> Model:
    for job in jobs:
        train_fold(job)
    return write_shresnet(pair, jobs)


@pytest.mark.slow
def test_the_card_of_a_model_names_its_scanners_shells_subjects_and_folds(
    model: Model, jobs: tuple[FoldJob, ...]
) -> None:
    assert model.name == "from-ge_to-prisma"
    assert (model.source, model.target) == ("ge", "prisma")
    assert model.source_shells == SHELLS
    world_bvecs = Series().bvecs[1:] * [-1, 1, 1]  # FSL counts x from the right on this grid
    np.testing.assert_allclose(model.target_directions[0], world_bvecs, atol=1e-5)
    assert list(model.card.subjects) == ["01", "02", "03"]
    assert model.card.given_images == GivenImages(masks=0, tissues=0)
    for job, fold in zip(jobs, model.card.fits, strict=True):
        assert fold.weights == ModelFile(job.file.name, hash_file(job.file))
        assert fold.novelty == ModelFile(job.novelty_file.name, hash_file(job.novelty_file))
        assert fold.split == job.split
        assert fold.measurement_noise is not None
        assert fold.measurement_noise.level == pytest.approx(0.02, rel=1e-3)
        if job.split.validation:
            assert fold.validation_loss == lowest_validation_loss(job)
    assert model.card.all_subjects.training == ("02", "03")  # this schedule needs a validation
    assert model.card.all_subjects.test == ()


@pytest.mark.slow
def test_the_card_names_the_network_that_denoises_the_target(
    pair: Pair,
    jobs: tuple[FoldJob, ...],
    prepared: list[PrepareJob],
    fit_settings: FitSettings,
) -> None:
    denoiser = target_denoiser_job(jobs[0].folder, prepared, fit_settings)
    assert denoiser is not None
    for job in (*jobs, denoiser):
        train_fold(job)
    dataset = pair.travelling_scans[0][0].dataset
    model = write_model(pair, jobs, "shresnet", dataset, SHELLS, target_denoiser=denoiser)
    record = model.card.target_denoiser
    assert record is not None
    assert record.weights == ModelFile(denoiser.file.name, hash_file(denoiser.file))
    assert (record.training, record.validation) == (("02", "03"), ("01",))
    assert record.validation_loss == lowest_validation_loss(denoiser)
    denoiser.file.write_bytes(b"")
    with pytest.raises(BadInput, match="target_denoiser"):
        read_model(model.folder)


@pytest.mark.slow
def test_a_model_keeps_every_epoch_of_every_fold(model: Model) -> None:
    rows = read_tsv(model.folder / TRAINING_TSV)
    assert [row["fold"] for row in rows] == ["1", "1", "2", "2", "3", "3"]
    assert [row["epoch"] for row in rows] == ["0", "1"] * 3
    assert [row["stage"] for row in rows] == ["adam", "sgd"] * 3


@pytest.mark.slow
def test_a_model_with_a_missing_fold_has_no_card(pair: Pair, jobs: tuple[FoldJob, ...]) -> None:
    for job in jobs[:2]:
        train_fold(job)
    with pytest.raises(FileNotFoundError):
        write_shresnet(pair, jobs)
    assert not (jobs[0].folder / CARD_FILE).exists()


@pytest.mark.slow
def test_a_sweep_keeps_the_validation_error_of_each_number_of_blocks_and_fold(
    prepared: list[PrepareJob], fit_settings: FitSettings, tmp_path: Path
) -> None:
    sweep = sweep_jobs(tmp_path / "work", prepared, SHELLS, fit_settings, (0, 2))
    for job in sweep:
        train_fold(job)
    write_sweep(tmp_path, sweep)
    for row, job in zip(read_tsv(tmp_path / RESBLOCKS_TSV), sweep, strict=True):
        assert int(row["resblocks"]) == job.network.resblocks
        assert int(row["fold"]) == job.number
        assert float(row["validation_loss"]) == lowest_validation_loss(job)


@pytest.fixture
def default_model(tmp_path: Path) -> Model:
    """A model with the default settings."""
    fit = FitSettings()
    return constant_model(
        tmp_path / "model",
        write_tree(tmp_path / "bids", {}),
        training=fit.training,
        network=fit.network,
        seed=fit.seed,
    )


def test_equal_settings_have_no_difference(default_model: Model) -> None:
    assert settings_difference(default_model, FitSettings(), ModelSettings()) == ""


def test_settings_that_a_model_was_not_trained_with_are_named(default_model: Model) -> None:
    fit = FitSettings()
    requested = replace(fit, seed=7, training=replace(fit.training, max_epochs=99))
    expected = f"max_epochs {fit.training.max_epochs}, random_seed {fit.seed}"
    assert settings_difference(default_model, requested, ModelSettings()) == expected
    requested = replace(fit, network=NetworkConfig(skip=False))
    expected = f"max_epochs {fit.training.max_epochs}, skip True"  # it would be trained longer
    assert settings_difference(default_model, requested, ModelSettings()) == expected


@pytest.mark.parametrize(
    ("method", "difference"), [("golkov", "method shresnet"), ("shresnet_projected", "")]
)
def test_methods_that_apply_the_same_fit_are_no_difference(
    method: AppliedMethod, difference: str, default_model: Model
) -> None:
    settings = ModelSettings(method=method)
    assert settings_difference(default_model, FitSettings(), settings) == difference
