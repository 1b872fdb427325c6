from __future__ import annotations

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bids_shresnet.network.cuda_graphs import make_gradient_function

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
