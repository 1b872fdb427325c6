"""Two training schedules: annealed Adam, and the paper's Adam followed by SGD."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from bids_shresnet.settings import TrainingConfig

TrainingState = Mapping[str, Any]  # nested tensors and plain values that a training depends on
WARMUP_SHARE = 0.1 + 1e-6  # for exactly a tenth of ten steps, torch 2.x would divide by zero


@dataclass(frozen=True)
class Stage:
    """Optimizer and batch size of an epoch, and a function that is called after every step."""

    name: str
    optimizer: torch.optim.Optimizer
    batch_size: int
    after_step: Callable[[], None] = lambda: None

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])


class AnnealedSchedule:
    """Adam; its learning rate rises for a tenth of the training, then falls along a cosine."""

    def __init__(self, network: nn.Module, config: TrainingConfig) -> None:
        self.config = config
        self.adam = make_adam(network, config.adam_learning_rate)
        self.cycle: OneCycleLR | None = None

    def begin_epoch(self, _: int, voxels: int) -> Stage:
        """Return the stage of the next epoch. The first epoch sets the number of steps."""
        batch = self.config.adam_batch
        if self.cycle is None:
            self.cycle = self._make_cycle(self.config.max_epochs * -(-voxels // batch))
        return Stage("adam", self.adam, batch, self.cycle.step)

    def _make_cycle(self, steps: int) -> OneCycleLR:
        return OneCycleLR(
            self.adam, self.config.adam_learning_rate, total_steps=steps, pct_start=WARMUP_SHARE
        )

    def end_epoch(self, number: int, loss: float) -> None:
        """Do nothing: the learning rate does not depend on the validation loss."""

    def state(self) -> TrainingState:
        """Return the state after the first or a later epoch."""
        assert self.cycle is not None
        return {"adam": self.adam.state_dict(), "cycle": self.cycle.state_dict()}

    def load_state(self, state: TrainingState) -> None:
        """Go back to a state. The cycle comes first, because making it changes Adam."""
        self.cycle = self._make_cycle(state["cycle"]["total_steps"])
        self.cycle.load_state_dict(state["cycle"])
        self.adam.load_state_dict(state["adam"])


class TwoStageSchedule:
    """The paper's schedule: Adam for the first epochs, then SGD that slows down on plateaus."""

    def __init__(self, network: nn.Module, config: TrainingConfig) -> None:
        self.config = config
        self.adam = make_adam(network, config.adam_learning_rate)
        self.sgd = torch.optim.SGD(
            network.parameters(), config.sgd_learning_rate, momentum=config.sgd_momentum
        )
        # Unlike torch's defaults, any progress counts, and the rate falls in the fifth epoch
        # without it, not in the sixth.
        self.plateau = ReduceLROnPlateau(
            self.sgd, factor=config.decay, patience=config.decay_patience - 1, threshold=0
        )

    def begin_epoch(self, number: int, _: int) -> Stage:
        """Return the stage of the next epoch."""
        if number < self.config.adam_epochs:
            return Stage("adam", self.adam, self.config.adam_batch)
        return Stage("sgd", self.sgd, self.config.sgd_batch)

    def end_epoch(self, number: int, loss: float) -> None:
        """Lower SGD's learning rate after epochs without the lowest validation loss so far."""
        if number >= self.config.adam_epochs:
            self.plateau.step(loss)
        else:
            self.plateau.best = min(self.plateau.best, loss)

    def state(self) -> TrainingState:
        """Return the state of both optimizers and of the plateau detection."""
        return {name: getattr(self, name).state_dict() for name in ("adam", "sgd", "plateau")}

    def load_state(self, state: TrainingState) -> None:
        """Go back to a state."""
        for name, part in state.items():
            getattr(self, name).load_state_dict(part)


def make_adam(network: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """Make Adam that changes all trained parameters at once."""
    trained = [part for part in network.parameters() if part.requires_grad]
    return torch.optim.Adam(trained, learning_rate, fused=True)
