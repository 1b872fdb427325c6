"""The training loop: from the start or a saved state, until the validation subject sees no more progress."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from bids_shresnet.errors import ShresnetError
from bids_shresnet.network.patches import PATCHES_PER_CHUNK, rows_to_patches
from bids_shresnet.network.schedules import AnnealedSchedule, Stage, TrainingState, TwoStageSchedule
from bids_shresnet.settings import TrainingConfig


@dataclass(frozen=True)
class Samples:
    """Voxels of one or more subjects with what the source measured and what the target measured there.

    Attributes
    ----------
    patches
        Source channels of 3x3x3 neighbours, (voxel, 27, channel).
    signal
        Target's S/S0 in its own directions, (voxel, direction).
    subject_index
        Which matrix a voxel belongs to, (voxel,).
    matrices
        Coefficients -> signal in each subject's target directions, (subject, direction, coefficient); rows of zeros
        fill up where a subject has fewer directions (its signal is zero there too, so that they cost nothing).
    """

    patches: Float[Tensor, "v 27 n"]
    signal: Float[Tensor, "v d"]
    subject_index: Int[Tensor, " v"]
    matrices: Float[Tensor, "s d c"]

    def __len__(self) -> int:
        return len(self.subject_index)

    def select(self, rows: Int[Tensor, " n"]) -> Samples:
        """Some of the voxels."""
        return Samples(
            self.patches[rows], self.signal[rows], self.subject_index[rows], self.matrices
        )

    def batches(self, order: Int[Tensor, " n"], size: int) -> Iterator[Samples]:
        """Pieces of `size` voxels, taken in the given order."""
        for rows in order.split(size):
            yield self.select(rows)


@dataclass(frozen=True)
class Epoch:
    """What happened in one epoch; losses are mean squared errors of S/S0."""

    epoch: int
    stage: str
    learning_rate: float
    training_loss: float
    validation_loss: float


@dataclass(frozen=True)
class History:
    """All epochs, and the one whose weights were kept."""

    epochs: tuple[Epoch, ...]
    best_epoch: int

    @property
    def best_loss(self) -> float:
        """Validation loss of the weights that were kept."""
        return self.epochs[self.best_epoch].validation_loss


def mean_squared_error(network: nn.Module, samples: Samples) -> Float[Tensor, ""]:
    """Mean squared error of the signal on the target's own directions."""
    device = next(network.parameters()).device
    matrices = samples.matrices.to(device)
    predicted = network(rows_to_patches(samples.patches.to(device).float()))
    subject = samples.subject_index.to(device)
    signal = torch.einsum("vc,vdc->vd", predicted, matrices[subject])
    directions = (matrices != 0).any(-1).sum(-1)  # (subject,), without the rows that fill up
    errors = (signal - samples.signal.to(device).float()).square().sum(1)
    return errors.sum() / directions[subject].sum()


def validation_error(network: nn.Module, samples: Samples) -> float:
    """The same over many voxels, without gradients and without dropout."""
    network.eval()
    chunks = samples.batches(torch.arange(len(samples)), PATCHES_PER_CHUNK)
    with torch.inference_mode():
        total = sum(mean_squared_error(network, chunk).item() * len(chunk) for chunk in chunks)
    return total / len(samples)


def fit_network(
    network: nn.Module,
    draw_samples: Callable[[int], Samples],
    validation: Samples,
    config: TrainingConfig,
    *,
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    saved_state: TrainingState | None = None,
    save_state: Callable[[TrainingState], None] = lambda _: None,
) -> History:
    """Train the network in place; it ends with the weights of its best validation epoch.

    Parameters
    ----------
    draw_samples
        The voxels of epoch n.
    validation
        Voxels of a subject that is not trained on.
    seed
        Of the order of the voxels, and of dropout.
    saved_state
        What `save` was given last by the same training, which then goes on as if it had never been stopped.

    Raises
    ------
    ShresnetError
        If no epoch ends with a finite loss.
    """
    training = TrainingRun(network, config, seed)
    if saved_state is not None:
        training.load_state(saved_state)
    for epoch in training.epochs:
        on_epoch(epoch)
    while not training.has_ended:
        number = len(training.epochs)
        samples = draw_samples(number)
        stage = training.schedule.begin_epoch(number, len(samples))
        rate = stage.learning_rate
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + number)
            loss = _train_epoch(network, stage, samples, training.generator)
        training.end_epoch(
            Epoch(number, stage.name, rate, loss, validation_error(network, validation))
        )
        save_state(training.state())
        on_epoch(training.epochs[-1])
    if training.best_epoch < 0:
        msg = "training diverged: no epoch had a finite loss; lower the learning rates (--training.*-learning-rate)"
        raise ShresnetError(msg)
    network.load_state_dict(training.best_weights)
    return History(tuple(training.epochs), training.best_epoch)


class TrainingRun:
    """A training between two epochs."""

    def __init__(self, network: nn.Module, config: TrainingConfig, seed: int) -> None:
        self.network, self.config = network, config
        self.generator = torch.Generator().manual_seed(seed)
        self.schedule = (AnnealedSchedule if config.schedule == "annealed" else TwoStageSchedule)(
            network, config
        )
        self.epochs: list[Epoch] = []
        self.best_epoch, self.best_loss, self.best_weights = (
            -1,
            float("inf"),
            _copy_weights(network),
        )

    @property
    def has_ended(self) -> bool:
        """Whether all epochs are over, or too many since the best one."""
        count = len(self.epochs)
        return (
            count >= self.config.max_epochs
            or 0 < count > self.best_epoch + self.config.stop_patience
        )

    def end_epoch(self, epoch: Epoch) -> None:
        """Note how an epoch went, and keep its weights if they are the best."""
        self.schedule.end_epoch(epoch.epoch, epoch.validation_loss)
        if epoch.validation_loss < self.best_loss:
            self.best_epoch, self.best_loss, self.best_weights = (
                epoch.epoch,
                epoch.validation_loss,
                _copy_weights(self.network),
            )
        self.epochs.append(epoch)

    def state(self) -> TrainingState:
        """All that the next epoch depends on."""
        return {
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "best": self.best_epoch,
            "best_weights": self.best_weights,
            "weights": self.network.state_dict(),
            "generator": self.generator.get_state(),
            "schedule": self.schedule.state(),
        }

    def load_state(self, state: TrainingState) -> None:
        """Go back to a state."""
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self.best_epoch = state["best"]
        self.best_loss = (
            self.epochs[self.best_epoch].validation_loss if self.best_epoch >= 0 else float("inf")
        )
        self.best_weights = dict(state["best_weights"])
        self.network.load_state_dict(state["weights"])
        self.generator.set_state(state["generator"])
        self.schedule.load_state(state["schedule"])


def _train_epoch(
    network: nn.Module, stage: Stage, samples: Samples, generator: torch.Generator
) -> float:
    total = 0.0
    network.train()
    order = torch.randperm(len(samples), generator=generator)
    for batch in samples.batches(order, stage.batch_size):
        stage.optimizer.zero_grad()
        loss = mean_squared_error(network, batch)
        loss.backward()
        total += loss.item() * len(batch)
        stage.optimizer.step()
        stage.after_step()
    return total / len(samples)


def _copy_weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
