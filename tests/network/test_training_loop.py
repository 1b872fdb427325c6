from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from typing import Literal

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from bids_shresnet.errors import ShresnetError
from bids_shresnet.network import training_loop
from bids_shresnet.network.golkov import GolkovArchitecture, build_golkov
from bids_shresnet.network.schedules import TrainingState
from bids_shresnet.network.shresnet import build_shresnet
from bids_shresnet.network.training_loop import (
    Epoch,
    Samples,
    fit_network,
    mean_squared_error,
    validation_error,
)
from bids_shresnet.settings import TrainingConfig
from tests.network.samples import CHANNELS, SMALL, ConstantNetwork, one_voxel, random_samples

Schedule = Literal["annealed", "two-stage"]


def test_the_loss_is_the_mean_over_the_directions_a_subject_has() -> None:
    directions = (8, 3, 5)
    samples = random_samples(40, directions=directions)
    network = build_shresnet(SMALL, seed=0)
    patches = samples.patches.float().reshape(-1, 3, 3, 3, CHANNELS + 1).permute(0, 4, 1, 2, 3)
    coefficients = network(patches)
    errors = []
    for voxel, index in enumerate(samples.subject_index.tolist()):
        for direction in range(directions[index]):
            signal = (samples.matrices[index, direction] * coefficients[voxel]).sum()
            errors.append((signal - samples.signal[voxel, direction].float()).item() ** 2)
    expected = sum(errors) / len(errors)
    assert mean_squared_error(network, samples).item() == pytest.approx(expected, rel=1e-5)


def test_padded_directions_do_not_change_the_loss() -> None:
    samples = random_samples(20, directions=(4, 6))
    network = build_shresnet(SMALL, seed=0)
    padded = replace(
        samples,
        signal=nn.functional.pad(samples.signal, (0, 5)),
        matrices=nn.functional.pad(samples.matrices, (0, 0, 0, 5)),
    )
    expected = mean_squared_error(network, samples)
    torch.testing.assert_close(mean_squared_error(network, padded), expected)


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_the_validation_error_is_the_loss_whatever_the_size_of_chunks(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "PATCHES_PER_CHUNK", chunk)
    samples = random_samples(30)
    network = build_shresnet(SMALL, seed=0)
    expected = mean_squared_error(network, samples).item()
    assert validation_error(network, samples) == pytest.approx(expected, rel=1e-5)


def test_the_validation_error_has_no_dropout() -> None:
    samples = random_samples(30)
    network = build_golkov(GolkovArchitecture(CHANNELS, dropout=0.5), seed=0).train()
    errors = {validation_error(network.train(), samples) for _ in range(3)}
    assert errors == {mean_squared_error(network.eval(), samples).item()}


def test_batches_are_all_rows_once_in_the_given_order() -> None:
    samples = random_samples(10)
    order = torch.randperm(10, generator=torch.Generator().manual_seed(1))
    batches = list(samples.batches(order, 4))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    for name in ("patches", "signal", "subject_index"):
        rows = torch.cat([getattr(batch, name) for batch in batches])
        assert torch.equal(rows, getattr(samples, name)[order])


@pytest.mark.slow
def test_one_batch_can_be_fitted_closely() -> None:
    samples = random_samples(8, directions=(6,))
    network = build_shresnet(SMALL, seed=0)
    before = validation_error(network, samples)
    config = TrainingConfig(max_epochs=100, stop_patience=100, adam_learning_rate=1e-2)
    history = fit_network(network, lambda _: samples, samples, config, seed=0)
    assert validation_error(network, samples) < 0.05 * before
    assert validation_error(network, samples) == pytest.approx(history.best_loss)


def trained_weights(seed: int, schedule: Schedule) -> dict[str, Tensor]:
    samples = random_samples(60)
    network = build_shresnet(SMALL, seed=0)
    config = TrainingConfig(
        schedule=schedule, max_epochs=3, adam_epochs=2, adam_batch=16, sgd_batch=16
    )
    fit_network(network, lambda _: samples, random_samples(10, seed=1), config, seed=seed)
    return network.state_dict()


@pytest.mark.parametrize("schedule", ["annealed", "two-stage"])
def test_the_seed_decides_the_trained_weights(schedule: Schedule) -> None:
    weights = trained_weights(5, schedule)
    same = trained_weights(5, schedule)
    other = trained_weights(6, schedule)
    assert all(torch.equal(weights[name], same[name]) for name in weights)
    assert any(not torch.equal(weights[name], other[name]) for name in weights)


@pytest.mark.parametrize("schedule", ["annealed", "two-stage"])
def test_a_training_resumed_after_any_epoch_ends_as_if_it_had_not_been_stopped(
    schedule: Schedule,
) -> None:
    config = TrainingConfig(
        schedule=schedule, max_epochs=5, adam_epochs=2, adam_batch=16, sgd_batch=16
    )
    validation = random_samples(10, seed=9)
    network = build_shresnet(SMALL, seed=0)
    states: list[BytesIO] = []
    drawn: list[int] = []

    def draw_samples(epoch: int) -> Samples:
        drawn.append(epoch)
        return random_samples(60, seed=epoch)

    def save_state(state: TrainingState) -> None:
        states.append(BytesIO())
        torch.save(state, states[-1])  # at once: training continues with the same tensors

    history = fit_network(network, draw_samples, validation, config, seed=5, save_state=save_state)
    assert len(states) == 5
    expected = network.state_dict()
    for file in states:
        file.seek(0)
        state = torch.load(file, weights_only=True)
        resumed = build_shresnet(SMALL, seed=1)
        resumed_history = fit_network(
            resumed, draw_samples, validation, config, seed=5, saved_state=state
        )
        assert resumed_history == history
        weights = resumed.state_dict()
        assert all(torch.equal(weights[name], expected[name]) for name in expected)
    assert drawn == [0, 1, 2, 3, 4, 1, 2, 3, 4, 2, 3, 4, 3, 4, 4]  # no epoch is repeated


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    """Training moves the prediction towards 1. The validation signal is 0.3, which it passes."""
    network = ConstantNetwork()
    values: list[float] = []

    def watch(_: Epoch) -> None:
        values.append(network.value[0].item())

    config = TrainingConfig(
        schedule="two-stage",
        max_epochs=40,
        adam_epochs=0,
        sgd_learning_rate=0.05,
        sgd_momentum=0.0,
        stop_patience=6,
    )
    samples = one_voxel(1.0)
    history = fit_network(
        network, lambda _: samples, one_voxel(0.3), config, seed=0, on_epoch=watch
    )
    losses = [(value - 0.3) ** 2 for value in values]
    assert [epoch.validation_loss for epoch in history.epochs] == pytest.approx(losses)
    assert 0 < history.best_epoch < len(losses) - 1
    assert history.best_epoch == losses.index(min(losses))
    assert network.value[0].item() == values[history.best_epoch]
    assert history.best_loss == pytest.approx(min(losses))
    assert len(history.epochs) == history.best_epoch + 1 + config.stop_patience


def test_each_epoch_draws_its_own_voxels() -> None:
    drawn: list[int] = []

    def draw_samples(epoch: int) -> Samples:
        drawn.append(epoch)
        return one_voxel(1.0)

    config = TrainingConfig(max_epochs=4)
    fit_network(ConstantNetwork(), draw_samples, one_voxel(1.0), config, seed=0)
    assert drawn == [0, 1, 2, 3]


def test_every_voxel_of_a_draw_is_used_once_in_an_epoch() -> None:
    batches: list[Int[Tensor, " b"]] = []

    class WatchedNetwork(ConstantNetwork):
        def forward(self, patches: Float[Tensor, "b c 3 3 3"]) -> Float[Tensor, "b c"]:
            if torch.is_grad_enabled():
                batches.append(patches[:, 0, 0, 0, 0].long())
            return super().forward(patches)

    numbers = torch.arange(50.0)[:, None, None].expand(50, 27, CHANNELS + 1)
    samples = replace(random_samples(50), patches=numbers)
    config = TrainingConfig(max_epochs=2, adam_batch=20)
    fit_network(WatchedNetwork(), lambda _: samples, random_samples(4), config, seed=0)
    assert [len(batch) for batch in batches] == [20, 20, 10] * 2
    first_epoch = torch.cat(batches[:3])
    second_epoch = torch.cat(batches[3:])
    assert torch.equal(first_epoch.sort().values, torch.arange(50))
    assert torch.equal(second_epoch.sort().values, torch.arange(50))
    assert not torch.equal(first_epoch, second_epoch)


def test_training_that_diverges_is_an_error_that_names_the_remedy() -> None:
    config = TrainingConfig(max_epochs=2)
    samples = one_voxel(1.0)
    with pytest.raises(ShresnetError, match="learning rates"):
        fit_network(ConstantNetwork(), lambda _: samples, one_voxel(float("nan")), config, seed=0)


def test_without_a_validation_subject_the_weights_of_the_last_epoch_are_kept() -> None:
    samples = random_samples(60)
    network = build_shresnet(SMALL, seed=0)
    history = fit_network(network, lambda _: samples, None, TrainingConfig(max_epochs=3), seed=0)
    assert history.best_epoch == 2
    assert [epoch.validation_loss for epoch in history.epochs] == [None] * 3
    assert history.best_loss == history.epochs[-1].training_loss
