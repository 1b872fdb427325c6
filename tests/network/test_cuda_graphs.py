from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.gpu_tasks import SMALL, make_task
from bids_shresnet.methods.harmonizer import FitResult, FitTask
from bids_shresnet.methods.networks.golkov import fit_golkov
from bids_shresnet.methods.networks.map_regression import fit_map_regression
from bids_shresnet.methods.networks.shresnet import fit_shresnet
from bids_shresnet.network import minimize, training_loop
from bids_shresnet.network.cuda_graphs import Loss, make_gradient_function

DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
    ),
]


class Line(nn.Module):
    """A slope, which starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.zeros(1))

    def forward(self, x: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        return self.slope * x


@pytest.mark.parametrize("device", DEVICES)
def test_gradients_are_those_of_each_batch_whatever_its_size_and_do_not_add_up(device: str) -> None:
    """At zero, half the mean squared error has the gradient -mean(x y)."""
    line = Line().to(device)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        predicted: Tensor = line(x)
        return (predicted - y).square().mean() / 2

    generator = torch.Generator().manual_seed(0)
    batches = [torch.randn(2, size, generator=generator).to(device) for size in (4, 4, 3, 4)]
    compute_gradients = make_gradient_function(line, loss, tuple(batches[0]))
    for x, y in batches:
        value = compute_gradients(x, y)
        assert line.slope.grad is not None
        torch.testing.assert_close(line.slope.grad, -(x * y).mean()[None])
        torch.testing.assert_close(value, y.square().mean() / 2)
        assert not value.requires_grad


def test_a_parameter_that_the_loss_does_not_depend_on_is_an_error_on_every_device() -> None:
    networks = nn.ModuleList([Line(), Line()])
    compute_gradients = make_gradient_function(networks, networks[0], [torch.ones(2)])
    with pytest.raises(RuntimeError, match="not have been used"):
        compute_gradients(torch.ones(1))


class RefuseTransfers(TorchDispatchMode):
    """Refuse what moves data between CPU and GPU, on the CPU as well.

    CUDA ends the capture of a graph at a tensor made from numbers or lists, and at a value or a
    count that Python reads.
    """

    TRANSFERS = (
        torch.ops.aten.lift_fresh.default,
        torch.ops.aten._local_scalar_dense.default,
        torch.ops.aten.nonzero.default,
    )

    def __torch_dispatch__(
        self, function: Any, _: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        assert function not in self.TRANSFERS
        return function(*args, **(kwargs or {}))


def make_watched_function(network: nn.Module, loss: Loss, batch: Sequence[Tensor]) -> Loss:
    compute_gradients = make_gradient_function(network, loss, batch)

    def compute_without_transfers(*tensors: Tensor) -> Tensor:
        with RefuseTransfers():  # type: ignore[no-untyped-call]
            return compute_gradients(*tensors)

    return compute_without_transfers


@pytest.mark.parametrize("fit", [fit_shresnet, fit_golkov, fit_map_regression])
def test_every_loss_can_be_captured(
    fit: Callable[[FitTask], FitResult[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fit of SHResNet includes its skip, which is not trained, and both heads."""
    for module in (minimize, training_loop):
        monkeypatch.setattr(module, "make_gradient_function", make_watched_function)
    assert fit(make_task(SMALL, "cpu")).harmonizer.arrays()
