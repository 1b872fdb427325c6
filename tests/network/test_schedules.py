from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bids_shresnet.network.training_loop import fit_network
from bids_shresnet.settings import TrainingConfig
from tests.network.samples import ConstantNetwork, one_voxel, random_samples

PLAIN_SGD = TrainingConfig(schedule="two-stage", sgd_momentum=0.0)


def test_without_progress_the_paper_schedule_runs_its_course() -> None:
    """Five epochs of Adam, then SGD, x0.9 after each 4 epochs without progress, end after 12."""
    config = TrainingConfig(
        schedule="two-stage",
        max_epochs=100,
        adam_epochs=5,
        decay_patience=4,
        stop_patience=12,
        adam_learning_rate=0.5,
        sgd_learning_rate=2.0,
    )
    constant_loss = one_voxel(0.5, sensitivity=1e-12)
    history = fit_network(ConstantNetwork(), lambda _: constant_loss, constant_loss, config, seed=0)
    assert history.best_epoch == 0
    assert [epoch.epoch for epoch in history.epochs] == list(range(13))
    assert [epoch.stage for epoch in history.epochs] == ["adam"] * 5 + ["sgd"] * 8
    rates = [epoch.learning_rate for epoch in history.epochs]
    assert rates == pytest.approx([0.5] * 5 + [2.0] * 4 + [1.8] * 4)


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_with_progress_in_every_epoch_training_ends_at_the_last(limit: int) -> None:
    config = replace(PLAIN_SGD, max_epochs=limit, adam_epochs=2, sgd_learning_rate=0.01)
    samples = one_voxel(1.0)
    history = fit_network(ConstantNetwork(), lambda _: samples, samples, config, seed=0)
    losses = [epoch.loss for epoch in history.epochs]
    assert losses == sorted(losses, reverse=True)
    assert len(history.epochs) == limit
    assert history.best_epoch == limit - 1
    assert {epoch.learning_rate for epoch in history.epochs[2:]} <= {0.01}


@pytest.mark.parametrize(("epochs", "voxels", "batch"), [(10, 40, 4), (3, 41, 20), (1, 40, 4)])
def test_the_annealed_rate_rises_for_a_tenth_of_the_steps_and_falls_along_cosines(
    epochs: int, voxels: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts at 1/25 of the highest rate, ends at 1e-4 of the start (Smith & Topin 2018)."""
    used: list[float] = []

    class WatchedAdam(torch.optim.Adam):
        def step(self, *arguments: object) -> None:  # type: ignore[override]
            used.append(self.param_groups[0]["lr"])
            super().step(*arguments)

    monkeypatch.setattr(torch.optim, "Adam", WatchedAdam)
    config = TrainingConfig(
        max_epochs=epochs, adam_batch=batch, adam_learning_rate=0.04, stop_patience=99
    )
    samples = random_samples(voxels)
    history = fit_network(ConstantNetwork(), lambda _: samples, random_samples(4), config, seed=0)
    steps = epochs * -(-voxels // batch)
    np.testing.assert_allclose(used, annealed_rates(steps, 0.04), rtol=1e-3, atol=1e-8)
    assert {epoch.stage for epoch in history.epochs} == {"adam"}
    assert [epoch.learning_rate for epoch in history.epochs] == used[:: steps // epochs]


def annealed_rates(steps: int, highest: float) -> list[float]:
    """Learning rate of every step: half a cosine up, and half a cosine down."""
    start = highest / 25
    end = start / 1e4
    turn = 0.1 * steps - 1
    rates = []
    for step in range(steps):
        if step <= turn:
            rise = (1 - np.cos(np.pi * step / max(turn, 1))) / 2
            rates.append(start + (highest - start) * rise)
        else:
            fall = (1 - np.cos(np.pi * (step - turn) / (steps - 1 - turn))) / 2
            rates.append(highest + (end - highest) * fall)
    return rates
