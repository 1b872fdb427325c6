from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.settings import PAPER_NETWORK, PAPER_TRAINING, FitSettings, Method
from bids_shresnet.training.fold_jobs import (
    DENOISING_EPOCHS,
    DENOISING_VOXELS,
    baseline_jobs,
    baseline_methods,
    method_training,
    shorten_training,
    sweep_jobs,
    target_denoiser_job,
)
from bids_shresnet.training.folds import FoldJob, TrainingHalves
from bids_shresnet.training.prepare import PrepareJob
from tests.methods.heads import SHELLS


def test_baselines_are_fitted_on_the_models_folds_unless_the_model_was_fitted_so(
    prepared: list[PrepareJob],
    jobs: tuple[FoldJob, ...],
    fit_settings: FitSettings,
    tmp_path: Path,
) -> None:
    compared: tuple[Method, ...] = ("shresnet", "shresnet_projected", "golkov", "order_gain")
    methods = baseline_methods(compared, "shresnet")
    assert methods == ("golkov", "order_gain")
    baselines = baseline_jobs(tmp_path / "work", prepared, SHELLS, fit_settings, methods)
    assert [job.method for job in baselines] == ["golkov"] * 3 + ["order_gain"] * 3
    assert [job.number for job in baselines] == [1, 2, 3] * 2
    assert [job.split for job in baselines] == [job.split for job in jobs[:-1]] * 2
    assert len({job.file for job in (*baselines, *jobs)}) == 10


def test_a_sweep_has_the_models_folds_for_each_number_of_blocks_once(
    prepared: list[PrepareJob],
    jobs: tuple[FoldJob, ...],
    fit_settings: FitSettings,
    tmp_path: Path,
) -> None:
    sweep = sweep_jobs(tmp_path / "work", prepared, SHELLS, fit_settings, (0, 2, 0))
    assert [job.network.resblocks for job in sweep] == [0] * 3 + [2] * 3
    assert [job.number for job in sweep] == [1, 2, 3] * 2
    assert [job.split for job in sweep] == [job.split for job in jobs[:-1]] * 2


def test_denoising_is_trained_on_the_same_folds_and_halves_of_the_source(
    prepared: list[PrepareJob],
    jobs: tuple[FoldJob, ...],
    fit_settings: FitSettings,
    tmp_path: Path,
) -> None:
    denoising = baseline_jobs(tmp_path / "work", prepared, SHELLS, fit_settings, ("denoised",))
    assert [job.split for job in denoising] == [job.split for job in jobs[:-1]]
    assert {job.halves for job in denoising} == {TrainingHalves("source", SHELLS)}
    assert {job.training for job in denoising} == {shorten_training(fit_settings.training)}


def test_one_network_denoises_the_target_and_all_travelling_subjects_train_it(
    prepared: list[PrepareJob], fit_settings: FitSettings, tmp_path: Path
) -> None:
    job = target_denoiser_job(tmp_path, prepared, fit_settings)
    assert job is not None
    assert job.halves == TrainingHalves("target", SHELLS)
    assert sorted((*job.split.training, *job.split.validation)) == ["01", "02", "03"]
    assert job.file == tmp_path / "target_denoiser.safetensors"
    few = replace(prepared[0], shells=replace(prepared[0].shells, target_halves=()))
    assert target_denoiser_job(tmp_path, [few, *prepared[1:]], fit_settings) is None


def test_denoising_is_trained_shortly_but_never_longer_than_the_model(
    fit_settings: FitSettings,
) -> None:
    shorter = shorten_training(fit_settings.training)
    assert shorter.schedule == "annealed"
    assert shorter.voxels_per_epoch == fit_settings.training.voxels_per_epoch
    long = replace(fit_settings.training, voxels_per_epoch=0, max_epochs=200)
    assert shorten_training(long).voxels_per_epoch == DENOISING_VOXELS
    assert shorten_training(long).max_epochs == DENOISING_EPOCHS


def test_networks_that_start_from_random_weights_are_trained_twice_as_long() -> None:
    defaults = FitSettings()
    longer = replace(defaults.training, max_epochs=2 * defaults.training.max_epochs)
    plain = replace(defaults, network=replace(defaults.network, skip=False))
    assert method_training("shresnet", defaults) == defaults.training
    assert method_training("shresnet", plain) == longer
    assert method_training("golkov", defaults) == longer
    assert method_training("cdmri2017", defaults) == longer


@pytest.mark.parametrize("method", ["shresnet", "cdmri2017", "golkov"])
def test_the_papers_schedule_is_the_same_for_all_networks(method: Method) -> None:
    papers = FitSettings(network=PAPER_NETWORK, training=PAPER_TRAINING)
    assert method_training(method, papers) == PAPER_TRAINING
