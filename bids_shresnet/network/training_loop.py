"""The training loop: from the start or a saved state to the last epoch, or an earlier stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import isfinite

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from bids_shresnet.errors import ShresnetError
from bids_shresnet.network.cuda_graphs import Loss, make_gradient_function
from bids_shresnet.network.patches import PATCHES_PER_CHUNK, rows_to_patches
from bids_shresnet.network.schedules import AnnealedSchedule, Stage, TrainingState, TwoStageSchedule
from bids_shresnet.settings import TrainingConfig


@dataclass(frozen=True)
class Samples:
    """Voxels of one or more subjects: patches of the source scan and the signal of the target scan.

    Attributes
    ----------
    patches
        Channels of the 3x3x3 neighbours on the source scanner.
    signal
        S/S0 in the target's own directions. Subjects with fewer directions are padded with zeros.
    subject_index
        Index of each voxel's subject in `matrices`.
    matrices
        Map coefficients to the signal in each subject's directions. Rows of padding are zero.
    """

    patches: Float[Tensor, "v 27 n"]
    signal: Float[Tensor, "v d"]
    subject_index: Int[Tensor, " v"]
    matrices: Float[Tensor, "s d c"]

    def __len__(self) -> int:
        return len(self.subject_index)

    def select(self, rows: Int[Tensor, " n"]) -> Samples:
        """Select voxels by their indices."""
        return Samples(
            self.patches[rows], self.signal[rows], self.subject_index[rows], self.matrices
        )

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors, in the order of the attributes."""
        return self.patches, self.signal, self.subject_index, self.matrices

    def to(self, device: torch.device) -> Samples:
        """Move all voxels to a device."""
        return Samples(*(tensor.to(device) for tensor in self.tensors))

    def batches(self, order: Int[Tensor, " n"], size: int) -> Iterator[Samples]:
        """Yield batches of `size` voxels in the given order."""
        for rows in order.split(size):
            yield self.select(rows)


@dataclass(frozen=True)
class Epoch:
    """Course of one epoch; losses are mean squared errors of S/S0.

    `validation_loss` is None without a validation subject.
    """

    epoch: int
    stage: str
    learning_rate: float
    training_loss: float
    validation_loss: float | None

    @property
    def loss(self) -> float:
        """Loss by which the epoch is judged."""
        return self.training_loss if self.validation_loss is None else self.validation_loss


@dataclass(frozen=True)
class History:
    """All epochs, and the index of the one whose weights were kept."""

    epochs: tuple[Epoch, ...]
    best_epoch: int

    @property
    def best_loss(self) -> float:
        """Loss of the weights that were kept."""
        return self.epochs[self.best_epoch].loss


def fit_network(
    network: nn.Module,
    draw_samples: Callable[[int], Samples],
    validation: Samples | None,
    config: TrainingConfig,
    *,
    seed: int,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    saved_state: TrainingState | None = None,
    save_state: Callable[[TrainingState], None] = lambda _: None,
) -> History:
    """Train the network in place; it ends with the weights of its best epoch.

    Parameters
    ----------
    draw_samples
        Returns the training voxels of an epoch, given its number.
    validation
        Voxels of a subject that is not trained on; None to keep the weights of the last epoch.
    seed
        Seed of the order of the voxels and of dropout.
    saved_state
        Last state that `save_state` received from the same training, which then continues from it.

    Raises
    ------
    ShresnetError
        If no epoch ends with a finite loss.
    """
    training = TrainingRun(network, config, seed)
    if validation is not None:
        validation = validation.to(training.device)
    if saved_state is not None:
        training.load_state(saved_state)
    for epoch in training.epochs:
        on_epoch(epoch)
    while not training.has_ended:
        samples = draw_samples(len(training.epochs)).to(training.device)
        epoch = training.train_epoch(samples, validation)
        save_state(training.state())
        on_epoch(epoch)
    if training.best_epoch < 0:
        msg = (
            "training diverged: no epoch had a finite loss; "
            "lower the learning rates (--training.*-learning-rate)"
        )
        raise ShresnetError(msg)
    network.load_state_dict(training.best_weights)
    return History(tuple(training.epochs), training.best_epoch)


class TrainingRun:
    """A network in training, between two epochs."""

    def __init__(self, network: nn.Module, config: TrainingConfig, seed: int) -> None:
        self.network = network
        self.config = config
        self.seed = seed
        self.device = next(network.parameters()).device
        self.generator = torch.Generator().manual_seed(seed)
        self.gradient_functions: dict[int, Loss] = {}
        schedule_type = AnnealedSchedule if config.schedule == "annealed" else TwoStageSchedule
        self.schedule = schedule_type(network, config)
        self.epochs: list[Epoch] = []
        self.best_epoch = -1
        self.best_weights = _copy_weights(network)

    @property
    def has_ended(self) -> bool:
        """True after the last epoch, or after too many epochs without progress."""
        count = len(self.epochs)
        last_useful = self.best_epoch + self.config.stop_patience
        return count >= self.config.max_epochs or 0 < count > last_useful

    @property
    def best_loss(self) -> float:
        """Loss of the best epoch so far."""
        return self.epochs[self.best_epoch].loss if self.best_epoch >= 0 else float("inf")

    def train_epoch(self, samples: Samples, validation: Samples | None) -> Epoch:
        """Train one epoch, and keep its weights if they are the best, or none are validated."""
        number = len(self.epochs)
        stage = self.schedule.begin_epoch(number, len(samples))
        rate = stage.learning_rate  # before the steps change it
        compute_gradients = self._prepare_gradients(samples, stage.batch_size)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed + number)
            training_loss = self._take_steps(stage, samples, compute_gradients)
        validation_loss = None
        if validation is not None:
            validation_loss = validation_error(self.network, validation)
        epoch = Epoch(number, stage.name, rate, training_loss, validation_loss)
        self.schedule.end_epoch(number, epoch.loss)
        is_best = epoch.loss < self.best_loss
        if validation is None:
            is_best = isfinite(epoch.loss)
        self.epochs.append(epoch)
        if is_best:
            self.best_epoch = number
            self.best_weights = _copy_weights(self.network)
        return self.epochs[-1]

    def _prepare_gradients(self, samples: Samples, size: int) -> Loss:
        """Return the function for batches of a size; making one draws random numbers of dropout."""

        def loss(*tensors: Tensor) -> Float[Tensor, ""]:
            return mean_squared_error(self.network, Samples(*tensors))

        self.network.train()
        if size not in self.gradient_functions:
            example = next(samples.batches(torch.arange(len(samples), device=self.device), size))
            function = make_gradient_function(self.network, loss, example.tensors)
            self.gradient_functions[size] = function
        return self.gradient_functions[size]

    def _take_steps(self, stage: Stage, samples: Samples, compute_gradients: Loss) -> float:
        """Take one step per batch; returns the mean loss over the voxels.

        Losses are added up on the device: to read each one would wait for the GPU.
        """
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        order = torch.randperm(len(samples), generator=self.generator).to(self.device)
        for batch in samples.batches(order, stage.batch_size):
            loss = compute_gradients(*batch.tensors)
            stage.optimizer.step()
            stage.after_step()
            total += loss.double() * len(batch)
        return total.item() / len(samples)

    def state(self) -> TrainingState:
        """Everything that the next epoch depends on."""
        return {
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "best_epoch": self.best_epoch,
            "best_weights": self.best_weights,
            "weights": self.network.state_dict(),
            "generator": self.generator.get_state(),
            "schedule": self.schedule.state(),
        }

    def load_state(self, state: TrainingState) -> None:
        """Go back to a state."""
        self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
        self.best_epoch = state["best_epoch"]
        self.best_weights = dict(state["best_weights"])
        self.network.load_state_dict(state["weights"])
        self.generator.set_state(state["generator"])
        self.schedule.load_state(state["schedule"])


def mean_squared_error(network: nn.Module, samples: Samples) -> Float[Tensor, ""]:
    """Mean squared error of the predicted signal in the target's own directions."""
    subject = samples.subject_index
    coefficients = network(rows_to_patches(samples.patches.float()))
    signal = torch.einsum("vc,vdc->vd", coefficients, samples.matrices[subject])
    errors = (signal - samples.signal.float()).square().sum(1)
    directions = (samples.matrices != 0).any(-1).sum(-1)  # per subject, without padding
    return errors.sum() / directions[subject].sum()


def validation_error(network: nn.Module, samples: Samples) -> float:
    """Mean squared error over many voxels, without gradients and dropout."""
    network.eval()
    total = 0.0
    rows = torch.arange(len(samples), device=samples.patches.device)
    with torch.inference_mode():
        for chunk in samples.batches(rows, PATCHES_PER_CHUNK):
            total += mean_squared_error(network, chunk).item() * len(chunk)
    return total / len(samples)


def _copy_weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
