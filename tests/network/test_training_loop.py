from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from bids_shresnet.errors import ShresnetError
from bids_shresnet.network import training_loop
from bids_shresnet.network.schedules import TrainingState
from bids_shresnet.network.shresnet import Architecture, SHResNet, build_shresnet
from bids_shresnet.network.training_loop import (
    Epoch,
    Samples,
    fit_network,
    mean_squared_error,
    validation_error,
)
from bids_shresnet.settings import TrainingConfig

SMALL = Architecture((1, 5), resblocks=1, hidden=6)
CHANNELS = SMALL.output_channels
PLAIN_SGD = TrainingConfig(schedule="two-stage", sgd_momentum=0.0)


def samples(voxels: int, *, directions: tuple[int, ...] = (8,), seed: int = 0) -> Samples:
    """Random voxels of subjects with these numbers of directions, filled up with zeros to the largest."""
    generator = torch.Generator().manual_seed(seed)
    matrices = torch.zeros(len(directions), max(directions), CHANNELS)
    signal = torch.zeros(voxels, max(directions))
    subject = torch.randint(len(directions), (voxels,), generator=generator)
    for number, count in enumerate(directions):
        matrices[number, :count] = torch.randn(count, CHANNELS, generator=generator)
        mine = subject == number
        signal[mine, :count] = torch.rand(int(mine.sum()), count, generator=generator)
    patches = torch.randn(
        voxels, 27, CHANNELS + 1, generator=generator
    ).half()  # the last is the contrast
    return Samples(patches, signal.half(), subject, matrices)


class Constant(nn.Module):
    """Predicts the same coefficients everywhere; what it is taught is decided by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(CHANNELS))

    def forward(self, patches: Float[Tensor, "b c 3 3 3"]) -> Float[Tensor, "b c"]:
        return self.value.expand(len(patches), -1)


def one(value: float) -> Samples:
    """A voxel whose signal in its only direction is the value, seen by coefficient 0 alone."""
    matrix = torch.zeros(1, 1, CHANNELS)
    matrix[0, 0, 0] = 1
    return Samples(
        torch.zeros(1, 27, CHANNELS),
        torch.full((1, 1), value),
        torch.zeros(1, dtype=torch.long),
        matrix,
    )


def blind() -> Samples:
    """A voxel from which nothing can be learnt: no direction but one that sees no coefficient that changes."""
    matrix = torch.zeros(1, 1, CHANNELS)
    matrix[0, 0, 0] = 1e-12
    return replace(one(0.5), matrices=matrix)


def test_the_loss_is_the_mean_over_the_directions_a_subject_has() -> None:
    data, network = samples(40, directions=(8, 3, 5)), build_shresnet(SMALL, seed=0)
    predicted = network(
        data.patches.float().reshape(-1, 3, 3, 3, CHANNELS + 1).permute(0, 4, 1, 2, 3)
    )
    errors = []
    for voxel, number in enumerate(data.subject_index.tolist()):
        for direction in range((8, 3, 5)[number]):
            signal = (data.matrices[number, direction] * predicted[voxel]).sum()
            errors.append((signal - data.signal[voxel, direction].float()).item() ** 2)
    assert mean_squared_error(network, data).item() == pytest.approx(
        sum(errors) / len(errors), rel=1e-5
    )


def test_rows_that_fill_up_cost_nothing() -> None:
    data, network = samples(20, directions=(4, 6)), build_shresnet(SMALL, seed=0)
    wider = replace(
        data,
        signal=nn.functional.pad(data.signal, (0, 5)),
        matrices=nn.functional.pad(data.matrices, (0, 0, 0, 5)),
    )
    torch.testing.assert_close(
        mean_squared_error(network, wider), mean_squared_error(network, data)
    )


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_the_validation_error_is_the_loss_wherever_chunks_end(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_loop, "PATCHES_PER_CHUNK", chunk)
    data, network = samples(30), build_shresnet(SMALL, seed=0)
    assert validation_error(network, data) == pytest.approx(
        mean_squared_error(network, data).item(), rel=1e-5
    )


def test_batches_are_all_rows_once_in_the_given_order() -> None:
    data, order = samples(10), torch.randperm(10, generator=torch.Generator().manual_seed(1))
    pieces = list(data.batches(order, 4))
    assert [len(piece) for piece in pieces] == [4, 4, 2]
    for name in ("patches", "signal", "subject_index"):
        found = torch.cat([getattr(piece, name) for piece in pieces])
        assert torch.equal(found, getattr(data, name)[order])


@pytest.mark.slow
def test_one_batch_can_be_learnt_by_heart() -> None:
    data, network = samples(8, directions=(6,)), build_shresnet(SMALL, seed=0)
    before = validation_error(network, data)
    config = TrainingConfig(max_epochs=300, stop_patience=300, adam_learning_rate=3e-3)
    history = fit_network(network, lambda _: data, data, config, seed=0)
    assert validation_error(network, data) < 0.05 * before
    assert validation_error(network, data) == pytest.approx(history.best_loss)


def trained(seed: int, schedule: str) -> SHResNet:
    data, network = samples(60), build_shresnet(SMALL, seed=0)
    config = TrainingConfig(
        schedule=schedule, max_epochs=3, adam_epochs=2, adam_batch=16, sgd_batch=16
    )
    fit_network(network, lambda _: data, samples(10, seed=1), config, seed=seed)
    return network


@pytest.mark.parametrize("schedule", ["annealed", "two-stage"])
def test_the_seed_decides_the_trained_weights(schedule: str) -> None:
    one, same, other = (trained(seed, schedule).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("schedule", ["annealed", "two-stage"])
def test_a_training_that_was_stopped_after_any_epoch_ends_as_if_it_had_not(
    schedule: str,
) -> None:
    config = TrainingConfig(
        schedule=schedule, max_epochs=5, adam_epochs=2, adam_batch=16, sgd_batch=16
    )
    whole, states, drawn = build_shresnet(SMALL, seed=0), [], []

    def draw(number: int) -> Samples:
        drawn.append(number)
        return samples(60, seed=number)

    def keep(state: TrainingState) -> None:
        states.append(BytesIO())
        torch.save(state, states[-1])  # at once: training goes on with the same tensors

    history = fit_network(whole, draw, samples(10, seed=9), config, seed=5, save_state=keep)
    assert len(states) == 5
    for file in states:
        file.seek(0)
        saved = torch.load(file, weights_only=True)
        again = build_shresnet(SMALL, seed=1)
        assert (
            fit_network(again, draw, samples(10, seed=9), config, seed=5, saved_state=saved)
            == history
        )
        assert all(
            torch.equal(value, again.state_dict()[name])
            for name, value in whole.state_dict().items()
        )
    assert drawn == [0, 1, 2, 3, 4, 1, 2, 3, 4, 2, 3, 4, 3, 4, 4]  # no epoch is done again


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
    history = fit_network(Constant(), lambda _: blind(), blind(), config, seed=0)
    assert history.best_epoch == 0
    assert [epoch.epoch for epoch in history.epochs] == list(range(13))
    assert [epoch.stage for epoch in history.epochs] == ["adam"] * 5 + ["sgd"] * 8
    rates = [epoch.learning_rate for epoch in history.epochs]
    # SGD's own first epoch is the one to beat; four more without progress, then the step falls
    assert rates == pytest.approx([0.5] * 5 + [2.0] * 5 + [1.8] * 3)


@pytest.mark.parametrize(("limit", "expected"), [(1, 1), (3, 3), (50, 50)])
def test_with_progress_every_epoch_training_ends_at_the_last(limit: int, expected: int) -> None:
    config = replace(PLAIN_SGD, max_epochs=limit, adam_epochs=2, sgd_learning_rate=0.01)
    history = fit_network(Constant(), lambda _: one(1.0), one(1.0), config, seed=0)
    losses = [epoch.validation_loss for epoch in history.epochs]
    assert losses == sorted(losses, reverse=True)
    assert len(history.epochs) == expected
    assert history.best_epoch == expected - 1
    assert {epoch.learning_rate for epoch in history.epochs[2:]} <= {0.01}


@pytest.mark.parametrize(("epochs", "voxels", "batch"), [(10, 40, 4), (3, 41, 20), (1, 40, 4)])
def test_the_annealed_step_rises_for_a_tenth_and_falls_to_next_to_nothing_along_cosines(
    epochs: int, voxels: int, batch: int
) -> None:
    """From 1/25 of the highest, up to it, and down to 1/10000 of where it began (Smith & Topin 2018)."""
    used: list[float] = []

    class Watching(torch.optim.Adam):
        def step(self, *arguments: object) -> None:
            used.append(self.param_groups[0]["lr"])
            super().step(*arguments)

    network, data = Constant(), samples(voxels)
    config = TrainingConfig(
        max_epochs=epochs, adam_batch=batch, adam_learning_rate=0.04, stop_patience=99
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "Adam", Watching)
        history = fit_network(network, lambda _: data, samples(4), config, seed=0)
    steps = epochs * -(-voxels // batch)
    turn = 0.1 * steps - 1
    number, lowest, highest = np.arange(steps), 0.04 / 25, 0.04
    up = lowest + (highest - lowest) * (1 - np.cos(np.pi * number / max(turn, 1))) / 2
    down = (
        highest
        + (lowest / 1e4 - highest) * (1 - np.cos(np.pi * (number - turn) / (steps - 1 - turn))) / 2
    )
    np.testing.assert_allclose(used, np.where(number <= turn, up, down), rtol=1e-3, atol=1e-8)
    assert {epoch.stage for epoch in history.epochs} == {"adam"}
    assert [epoch.learning_rate for epoch in history.epochs] == used[:: steps // epochs]


def drifting(goal: float) -> Callable[[int], Samples]:
    """Training data that pull away from 0, whatever the validation says."""
    return lambda _: one(goal)


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    """Training pulls the prediction towards 1, validation wants 0.3: the epoch that passes it is kept."""
    network, seen = Constant(), []

    def watch(epoch: Epoch) -> None:
        seen.append(((network.value[0].item() - 0.3) ** 2, network.value[0].item()))

    config = replace(
        PLAIN_SGD, max_epochs=40, adam_epochs=0, sgd_learning_rate=0.05, stop_patience=6
    )
    history = fit_network(network, drifting(1.0), one(0.3), config, seed=0, on_epoch=watch)
    losses = [loss for loss, _ in seen]
    assert [epoch.validation_loss for epoch in history.epochs] == pytest.approx(losses)
    assert 0 < history.best_epoch < len(losses) - 1
    assert history.best_epoch == losses.index(min(losses))
    assert network.value[0].item() == seen[history.best_epoch][1]
    assert history.best_loss == pytest.approx(min(losses))
    assert len(history.epochs) == history.best_epoch + 1 + 6


def test_each_epoch_draws_its_own_voxels() -> None:
    drawn: list[int] = []

    def draw(epoch: int) -> Samples:
        drawn.append(epoch)
        return one(1.0)

    fit_network(Constant(), draw, one(1.0), TrainingConfig(max_epochs=4), seed=0)
    assert drawn == [0, 1, 2, 3]


def test_every_voxel_of_a_draw_is_used_once_an_epoch() -> None:
    batches: list[Int[Tensor, " b"]] = []

    class Watching(Constant):
        def forward(self, patches: Float[Tensor, "b c 3 3 3"]) -> Float[Tensor, "b c"]:
            if torch.is_grad_enabled():
                batches.append(patches[:, 0, 0, 0, 0].long())
            return super().forward(patches)

    data = samples(50)
    data = replace(data, patches=torch.arange(50.0)[:, None, None].expand(50, 27, CHANNELS + 1))
    fit_network(
        Watching(), lambda _: data, samples(4), TrainingConfig(max_epochs=2, adam_batch=20), seed=0
    )
    assert [len(batch) for batch in batches] == [20, 20, 10] * 2
    epochs = torch.cat(batches[:3]), torch.cat(batches[3:])
    assert all(torch.equal(epoch.sort().values, torch.arange(50)) for epoch in epochs)
    assert not torch.equal(*epochs)


def test_training_that_diverges_is_an_error_that_names_the_remedy() -> None:
    with pytest.raises(ShresnetError, match="learning rates"):
        fit_network(
            Constant(), lambda _: one(1.0), one(float("nan")), TrainingConfig(max_epochs=2), seed=0
        )
