"""One training step of several folds: one after another, or as one batch of networks.

Networks of the same shape are stacked with torch.func; every matrix product then is a batch of
products. Each way is measured with and without a graph of its kernels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state

from bids_shresnet.network.cuda_graphs import Loss, make_gradient_function
from bids_shresnet.network.patches import rows_to_patches
from bids_shresnet.network.schedules import make_adam
from bids_shresnet.network.shresnet import Architecture, build_shresnet

OURS = Architecture(has_contrast=True, has_skip=True)
LEARNING_RATE = 1e-3
Batch = tuple[Float[Tensor, "f b 27 n"], Float[Tensor, "f b c"]]


class StackedNetworks(nn.Module):
    """Networks of the same shape, as one batch."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        parameters, self.constants = stack_module_state(list(networks))
        self.names = list(parameters)
        self.values = nn.ParameterList(parameters.values())
        self.structure = [deepcopy(networks[0]).to("meta")]  # in a list: it has no weights

    def forward(self, rows: Float[Tensor, "f b 27 n"]) -> Float[Tensor, "f b c"]:
        """Predict the batch of every network."""
        parameters = dict(zip(self.names, self.values, strict=True))

        def predict(state: tuple[dict[str, Tensor], dict[str, Tensor]], one: Tensor) -> Tensor:
            predicted: Tensor = functional_call(self.structure[0], state, (rows_to_patches(one),))
            return predicted

        predicted: Tensor = torch.vmap(predict)((parameters, self.constants), rows)
        return predicted


def make_networks(folds: int, device: str) -> list[nn.Module]:
    """Build one network per fold. The last layers are random, as after some training."""
    networks: list[nn.Module] = [build_shresnet(OURS, seed=seed) for seed in range(folds)]
    generator = torch.Generator().manual_seed(0)
    for network in networks:
        for parameter in network.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.data += 0.01 * noise
    return [network.to(device) for network in networks]


def random_batch(folds: int, size: int, device: str) -> Batch:
    """Random patches and coefficients for every fold."""
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(folds, size, 27, OURS.input_channels, generator=generator)
    labels = torch.randn(folds, size, OURS.output_channels, generator=generator)
    return rows.to(device), labels.to(device)


def compare_losses(folds: int, size: int, device: str) -> float:
    """Largest relative difference between losses of stacked and of single networks."""
    networks = make_networks(folds, device)
    batch = random_batch(folds, size, device)
    with torch.no_grad():
        stacked = (StackedNetworks(networks)(batch[0]) - batch[1]).square().mean((1, 2))
        losses = [
            _single_loss(network)(rows, labels)
            for network, rows, labels in zip(networks, *batch, strict=True)
        ]
    return float((stacked / torch.stack(losses) - 1).abs().max())


def training_steps(folds: int, size: int, device: str) -> dict[str, Callable[[], None]]:
    """Return functions that train all folds for one step, by their names."""
    steps = {
        "one by one": _single_steps(folds, size, device, has_graph=False),
        "stacked": _stacked_step(folds, size, device, has_graph=False),
    }
    if torch.device(device).type == "cuda":
        steps["one by one, graphs"] = _single_steps(folds, size, device, has_graph=True)
        steps["stacked, graph"] = _stacked_step(folds, size, device, has_graph=True)
    return steps


def _single_steps(folds: int, size: int, device: str, *, has_graph: bool) -> Callable[[], None]:
    batches = zip(*random_batch(folds, size, device), strict=True)
    steps = [
        _make_step(network, _single_loss(network), batch, has_graph=has_graph)
        for network, batch in zip(make_networks(folds, device), batches, strict=True)
    ]

    def step_all() -> None:
        for step in steps:
            step()

    return step_all


def _stacked_step(folds: int, size: int, device: str, *, has_graph: bool) -> Callable[[], None]:
    network = StackedNetworks(make_networks(folds, device))

    def loss(rows: Tensor, labels: Tensor) -> Tensor:
        predicted: Tensor = network(rows)
        return (predicted - labels).square().mean((1, 2)).sum()

    return _make_step(network, loss, random_batch(folds, size, device), has_graph=has_graph)


def _single_loss(network: nn.Module) -> Loss:
    def loss(rows: Tensor, labels: Tensor) -> Tensor:
        predicted: Tensor = network(rows_to_patches(rows))
        return (predicted - labels).square().mean()

    return loss


def _make_step(
    network: nn.Module, loss: Loss, batch: tuple[Tensor, ...], *, has_graph: bool
) -> Callable[[], None]:
    optimizer = make_adam(network, LEARNING_RATE)
    # an example on the CPU makes no graph
    example = batch if has_graph else [tensor.cpu() for tensor in batch]
    compute_gradients = make_gradient_function(network, loss, example)

    def step() -> None:
        compute_gradients(*batch)
        optimizer.step()

    return step
