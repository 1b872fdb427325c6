"""The network and the training of Koppers et al. 2018, written down as the paper describes them.

Nothing of the package is used. Where the paper is silent, docs/explanation/choices.md decides: own
weights for every convolution, no ReLU outside of the units, one last convolution, SGD with a rate
of 0.001 and a momentum of 0.9. Layers are called as in the package.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

ADAM_RATE = 1e-3
ADAM_EPOCHS = 5
SGD_RATE = 1e-3
SGD_MOMENTUM = 0.9
DECAY = 0.9  # "decreases by ten percent"
EPOCHS_BEFORE_DECAY = 5
MAX_EPOCHS_WITHOUT_PROGRESS = 10  # training stops after more than these


class PaperUnit(nn.Module):
    """Three convolutions with padding; ReLU after the first two."""

    def __init__(self, channels: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(channels, hidden, 3, padding=1)
        self.second = nn.Conv3d(hidden, hidden, 3, padding=1)
        self.last = nn.Conv3d(hidden, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        inside: Tensor = torch.relu(self.second(torch.relu(self.first(x))))
        return torch.as_tensor(self.last(inside))


class PaperBlock(nn.Module):
    """Concatenated coefficients of all orders, subtracted from the input."""

    def __init__(self, orders: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.units = nn.ModuleList(PaperUnit(sum(orders), hidden, count) for count in orders)

    def forward(self, x: Tensor) -> Tensor:
        return x - torch.cat([unit(x) for unit in self.units], dim=1)


class PaperNetwork(nn.Module):
    """Blocks between two convolutions in an outer residual, then 3x3x3 to the central voxel."""

    def __init__(self, orders: tuple[int, ...], blocks: int, hidden: int) -> None:
        super().__init__()
        channels = sum(orders)
        self.pre = nn.Conv3d(channels, channels, 3, padding=1)
        self.blocks = nn.Sequential(*(PaperBlock(orders, hidden) for _ in range(blocks)))
        self.post = nn.Conv3d(channels, channels, 3, padding=1)
        self.final = nn.Conv3d(channels, channels, 3)

    def forward(self, x: Float[Tensor, "b c 3 3 3"]) -> Float[Tensor, "b c"]:
        before = self.pre(x)
        after = self.post(self.blocks(before)) - before
        return torch.as_tensor(self.final(after)[:, :, 0, 0, 0])


@dataclass(frozen=True)
class PaperData:
    """Patches of coefficients, the signal to predict, and the harmonics in its directions."""

    patches: Float[Tensor, "v c 3 3 3"]
    signal: Float[Tensor, "v d"]
    matrix: Float[Tensor, "d c"]

    def loss(self, network: nn.Module, rows: Int[Tensor, " n"]) -> Tensor:
        predicted = network(self.patches[rows]) @ self.matrix.T
        return torch.as_tensor(((predicted - self.signal[rows]) ** 2).mean())


@dataclass
class PaperCourse:
    """What happened in every epoch."""

    optimizers: list[str] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def train_as_in_the_paper(
    network: nn.Module,
    training: PaperData,
    validation: PaperData,
    *,
    adam_batch: int,
    sgd_batch: int,
    shuffle: torch.Generator,
) -> PaperCourse:
    """Train until the validation loss has not fallen for more than ten epochs; keep the best."""
    adam = torch.optim.Adam(network.parameters(), ADAM_RATE)
    sgd = torch.optim.SGD(network.parameters(), SGD_RATE, SGD_MOMENTUM)
    course = PaperCourse()
    lowest = float("inf")
    without_progress = since_decay = 0
    best_weights = network.state_dict()
    while without_progress <= MAX_EPOCHS_WITHOUT_PROGRESS:
        is_adam = len(course.losses) < ADAM_EPOCHS
        optimizer = adam if is_adam else sgd
        course.optimizers.append("adam" if is_adam else "sgd")
        course.rates.append(optimizer.param_groups[0]["lr"])
        order = torch.randperm(len(training.signal), generator=shuffle)
        for rows in order.split(adam_batch if is_adam else sgd_batch):
            optimizer.zero_grad()
            training.loss(network, rows).backward()
            optimizer.step()
        with torch.no_grad():
            loss = validation.loss(network, torch.arange(len(validation.signal))).item()
        course.losses.append(loss)
        if loss < lowest:
            lowest = loss
            without_progress = since_decay = 0
            best_weights = {name: value.clone() for name, value in network.state_dict().items()}
            continue
        without_progress += 1
        if not is_adam:
            since_decay += 1
        if since_decay == EPOCHS_BEFORE_DECAY:
            sgd.param_groups[0]["lr"] *= DECAY
            since_decay = 0
    network.load_state_dict(best_weights)
    return course
