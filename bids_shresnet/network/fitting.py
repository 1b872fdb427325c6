"""One loop, two schedules: Adam with a step that rises and falls, or the paper's Adam for a start and then SGD."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from bids_shresnet.config import TrainingConfig
from bids_shresnet.errors import ShresnetError
from bids_shresnet.network.patches import CHUNK, as_patches

RISING = 0.1 + 1e-6  # part of the training; of ten steps exactly a tenth, torch (2.x) would divide by zero


@dataclass(frozen=True)
class Samples:
    """Voxels of one or more subjects with what the source measured and what the target measured there.

    Attributes
    ----------
    patches
        Source channels of 3x3x3 neighbours, (voxel, 27, channel).
    signal
        Target's S/S0 in its own directions, (voxel, direction).
    subject
        Which matrix a voxel belongs to, (voxel,).
    matrices
        Coefficients -> signal in each subject's target directions, (subject, direction, coefficient); rows of zeros
        fill up where a subject has fewer directions (its signal is zero there too, so that they cost nothing).
    """

    patches: Float[Tensor, "v 27 n"]
    signal: Float[Tensor, "v d"]
    subject: Int[Tensor, " v"]
    matrices: Float[Tensor, "s d c"]

    def __len__(self) -> int:
        return len(self.subject)

    def batches(self, order: Int[Tensor, " n"], size: int) -> Iterator[Samples]:
        """Pieces of `size` voxels, taken in the given order."""
        for rows in order.split(size):
            yield Samples(self.patches[rows], self.signal[rows], self.subject[rows], self.matrices)


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
    best: int

    @property
    def best_loss(self) -> float:
        """Validation loss of the weights that were kept."""
        return self.epochs[self.best].validation_loss


def squared_error(network: nn.Module, samples: Samples) -> Float[Tensor, ""]:
    """Mean squared error of the signal on the target's own directions."""
    device = next(network.parameters()).device
    matrices = samples.matrices.to(device)
    predicted = network(as_patches(samples.patches.to(device).float()))
    subject = samples.subject.to(device)
    signal = torch.einsum("vc,vdc->vd", predicted, matrices[subject])
    directions = (matrices != 0).any(-1).sum(-1)  # (subject,), without the rows that fill up
    errors = (signal - samples.signal.to(device).float()).square().sum(1)
    return errors.sum() / directions[subject].sum()


def validation_error(network: nn.Module, samples: Samples) -> float:
    """The same over many voxels, without gradients and without dropout."""
    network.eval()
    with torch.inference_mode():
        total = sum(
            squared_error(network, piece).item() * len(piece)
            for piece in samples.batches(torch.arange(len(samples)), CHUNK)
        )
    return total / len(samples)


def fit(
    network: nn.Module,
    draw: Callable[[int], Samples],
    validation: Samples,
    config: TrainingConfig,
    *,
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> History:
    """Train the network in place; it ends with the weights of its best validation epoch.

    Parameters
    ----------
    draw
        The voxels of epoch n.
    validation
        Voxels of a subject that is not trained on.
    seed
        Of the order of the voxels, and of dropout.

    Raises
    ------
    ShresnetError
        If no epoch ends with a finite loss.
    """
    generator = torch.Generator().manual_seed(seed)
    schedule = (Annealed if config.schedule == "annealed" else TwoStages)(network, config)
    epochs: list[Epoch] = []
    best, best_loss, best_weights = -1, float("inf"), _copy(network)
    for number in range(config.max_epochs):
        samples = draw(number)
        stage = schedule.stage(number, len(samples))
        rate = stage.rate
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + number)
            training = _train_epoch(network, stage, samples, generator)
        loss = validation_error(network, validation)
        schedule.end_of_epoch(number, loss)
        if loss < best_loss:
            best, best_loss, best_weights = number, loss, _copy(network)
        epochs.append(Epoch(number, stage.name, rate, training, loss))
        on_epoch(epochs[-1])
        if number - best >= config.stop_patience:
            break
    if best < 0:
        msg = "training diverged: no epoch had a finite loss; lower the learning rates (--training.*-learning-rate)"
        raise ShresnetError(msg)
    network.load_state_dict(best_weights)
    return History(tuple(epochs), best)


@dataclass(frozen=True)
class Stage:
    """How an epoch is trained: its optimizer, voxels a step, step size at its start, and what follows every step."""

    name: str
    optimizer: torch.optim.Optimizer
    batch: int
    after_step: Callable[[], None] = lambda: None

    @property
    def rate(self) -> float:
        """Step size now."""
        return float(self.optimizer.param_groups[0]["lr"])


class Annealed:
    """Adam whose step size rises for a tenth of the training and then falls along a cosine to next to nothing."""

    def __init__(self, network: nn.Module, config: TrainingConfig) -> None:
        self.config = config
        self.adam = torch.optim.Adam(network.parameters(), config.adam_learning_rate)
        self.cycle: OneCycleLR | None = None

    def stage(self, _: int, voxels: int) -> Stage:
        """Of the epoch that begins; the first one tells how many steps there will be."""
        batch = self.config.adam_batch
        if self.cycle is None:
            steps = self.config.max_epochs * -(-voxels // batch)
            highest = self.config.adam_learning_rate
            self.cycle = OneCycleLR(self.adam, highest, total_steps=steps, pct_start=RISING)
        return Stage("adam", self.adam, batch, self.cycle.step)

    def end_of_epoch(self, number: int, loss: float) -> None:
        """Nothing depends on the validation subject but which epoch is kept."""


class TwoStages:
    """The paper's: Adam for the first epochs, then SGD, slower whenever the validation subject sees no progress."""

    def __init__(self, network: nn.Module, config: TrainingConfig) -> None:
        self.config = config
        self.adam = torch.optim.Adam(network.parameters(), config.adam_learning_rate)
        self.sgd = torch.optim.SGD(network.parameters(), config.sgd_learning_rate, momentum=config.sgd_momentum)
        # Unlike the default, any progress counts, and the step falls at the fifth epoch without it, not the sixth
        self.plateau = ReduceLROnPlateau(self.sgd, factor=config.decay, patience=config.decay_patience - 1, threshold=0)

    def stage(self, number: int, _: int) -> Stage:
        """Of the epoch that begins."""
        if number < self.config.adam_epochs:
            return Stage("adam", self.adam, self.config.adam_batch)
        return Stage("sgd", self.sgd, self.config.sgd_batch)

    def end_of_epoch(self, number: int, loss: float) -> None:
        """Watch the validation subject, but only in the second stage."""
        if number >= self.config.adam_epochs:
            self.plateau.step(loss)


def _train_epoch(network: nn.Module, stage: Stage, samples: Samples, generator: torch.Generator) -> float:
    total = 0.0
    network.train()
    for piece in samples.batches(torch.randperm(len(samples), generator=generator), stage.batch):
        stage.optimizer.zero_grad()
        loss = squared_error(network, piece)
        loss.backward()
        stage.optimizer.step()
        stage.after_step()
        total += loss.item() * len(piece)
    return total / len(samples)


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
