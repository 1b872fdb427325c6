"""Two schedules: Adam with a step that rises and falls, or the paper's Adam for a start and then SGD."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from bids_shresnet.settings import TrainingConfig

TrainingState = Mapping[
    str, Any
]  # all that what follows depends on: tensors and plain values, nested
WARMUP_SHARE = (
    0.1 + 1e-6
)  # part of the training; of ten steps exactly a tenth, torch (2.x) would divide by zero


@dataclass(frozen=True)
class Stage:
    """How an epoch is trained: its optimizer, voxels a step, step size at its start, and what follows every step."""

    name: str
    optimizer: torch.optim.Optimizer
    batch_size: int
    after_step: Callable[[], None] = lambda: None

    @property
    def learning_rate(self) -> float:
        """Step size now."""
        return float(self.optimizer.param_groups[0]["lr"])


class AnnealedSchedule:
    """Adam whose step size rises for a tenth of the training and then falls along a cosine to next to nothing."""

    def __init__(self, network: nn.Module, config: TrainingConfig) -> None:
        self.config = config
        self.adam = torch.optim.Adam(network.parameters(), config.adam_learning_rate)
        self.cycle: OneCycleLR | None = None

    def begin_epoch(self, _: int, voxels: int) -> Stage:
        """Of the epoch that begins; the first one tells how many steps there will be."""
        batch = self.config.adam_batch
        if self.cycle is None:
            self.cycle = self._make_cycle(self.config.max_epochs * -(-voxels // batch))
        return Stage("adam", self.adam, batch, self.cycle.step)

    def _make_cycle(self, steps: int) -> OneCycleLR:
        return OneCycleLR(
            self.adam, self.config.adam_learning_rate, total_steps=steps, pct_start=WARMUP_SHARE
        )

    def end_epoch(self, number: int, loss: float) -> None:
        """Nothing depends on the validation subject but which epoch is kept."""

    def state(self) -> TrainingState:
        """After the first epoch."""
        assert self.cycle is not None
        return {"adam": self.adam.state_dict(), "cycle": self.cycle.state_dict()}

    def load_state(self, state: TrainingState) -> None:
        """Go back to a state."""
        self.cycle = self._make_cycle(
            state["cycle"]["total_steps"]
        )  # before Adam's own state, which it would change
        self.cycle.load_state_dict(state["cycle"])
        self.adam.load_state_dict(state["adam"])


class TwoStageSchedule:
    """The paper's: Adam for the first epochs, then SGD, slower whenever the validation subject sees no progress."""

    def __init__(self, network: nn.Module, config: TrainingConfig) -> None:
        self.config = config
        self.adam = torch.optim.Adam(network.parameters(), config.adam_learning_rate)
        self.sgd = torch.optim.SGD(
            network.parameters(), config.sgd_learning_rate, momentum=config.sgd_momentum
        )
        # Unlike the default, any progress counts, and the step falls at the fifth epoch without it, not the sixth
        self.plateau = ReduceLROnPlateau(
            self.sgd, factor=config.decay, patience=config.decay_patience - 1, threshold=0
        )

    def begin_epoch(self, number: int, _: int) -> Stage:
        """Of the epoch that begins."""
        if number < self.config.adam_epochs:
            return Stage("adam", self.adam, self.config.adam_batch)
        return Stage("sgd", self.sgd, self.config.sgd_batch)

    def end_epoch(self, number: int, loss: float) -> None:
        """Watch the validation subject, but only in the second stage."""
        if number >= self.config.adam_epochs:
            self.plateau.step(loss)

    def state(self) -> TrainingState:
        """Of both optimizers, and of what waits for progress."""
        return {name: getattr(self, name).state_dict() for name in ("adam", "sgd", "plateau")}

    def load_state(self, state: TrainingState) -> None:
        """Go back to a state."""
        for name, part in state.items():
            getattr(self, name).load_state_dict(part)
