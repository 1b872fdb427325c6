from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bids_shresnet.scans import Shell
from bids_shresnet.settings import FitSettings, Method, NetworkConfig
from bids_shresnet.training.folds import FoldJob, baseline_jobs, baseline_methods, sweep_jobs
from bids_shresnet.training.prepare import PrepareJob
from tests.methods.heads import SHELLS


def change_input(job: FoldJob, subject: str) -> FoldJob:
    """The job after a scan of a subject has changed."""
    return replace(job, input_digests={**job.input_digests, subject: "new"})


CHANGES: dict[str, Callable[[FoldJob], FoldJob]] = {
    "method": lambda job: replace(job, method="golkov"),
    "seed": lambda job: replace(job, seed=1),
    "network": lambda job: replace(job, network=NetworkConfig(resblocks=2)),
    "training": lambda job: replace(job, training=replace(job.training, max_epochs=1)),
    "shells": lambda job: replace(job, shells=(Shell(1100.0, 2),)),
    "a training subject": lambda job: change_input(job, job.split.training[0]),
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
    assert [job.split for job in baselines] == [job.split for job in jobs] * 2
    assert len({job.file for job in (*baselines, *jobs)}) == 9


def test_a_sweep_has_the_models_folds_for_each_number_of_blocks_once(
    prepared: list[PrepareJob],
    jobs: tuple[FoldJob, ...],
    fit_settings: FitSettings,
    tmp_path: Path,
) -> None:
    sweep = sweep_jobs(tmp_path / "work", prepared, SHELLS, fit_settings, (0, 2, 0))
    assert [job.network.resblocks for job in sweep] == [0] * 3 + [2] * 3
    assert [job.number for job in sweep] == [1, 2, 3] * 2
    assert [job.split for job in sweep] == [job.split for job in jobs] * 2
