"""The gradients of a loss; on a GPU, as one graph of kernels.

A step of a small network is hundreds of kernels, and each takes less time than Python needs to
start it. A graph starts them all at once (benchmarks/gpu.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

Loss = Callable[..., Float[Tensor, ""]]

WARM_UP_CALLS = 3  # as torch's documentation asks for before a graph is captured


def make_gradient_function(network: nn.Module, loss: Loss, batch: Sequence[Tensor]) -> Loss:
    """Return a function that sets the gradients of a network's parameters and returns the loss.

    On a GPU, batches of the size of the example use a graph. Others, such as the last of an epoch,
    do not.

    Parameters
    ----------
    network
        Network in the mode (training or evaluation) in which the gradients are used.
    loss
        Loss of a batch.
    batch
        Arguments of the loss, as an example of their shapes.
    """

    def compute_gradients(*tensors: Tensor) -> Float[Tensor, ""]:
        network.zero_grad()
        value = loss(*tensors)
        value.backward()
        return value.detach()

    if not batch[0].is_cuda:
        return compute_gradients
    graph = GradientGraph(network, loss, batch)

    def choose_function(*tensors: Tensor) -> Float[Tensor, ""]:
        has_same_size = len(tensors[0]) == len(batch[0])
        return graph(*tensors) if has_same_size else compute_gradients(*tensors)

    return choose_function


class GradientGraph:
    """A loss and its gradients, captured once and replayed with other batches of the same size."""

    def __init__(self, network: nn.Module, loss: Loss, batch: Sequence[Tensor]) -> None:
        self.parameters = [part for part in network.parameters() if part.requires_grad]
        self.batch = [tensor.clone() for tensor in batch]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self.batch[0].device):
            self._warm_up(loss)
            with torch.cuda.graph(self.graph):
                self.loss, self.gradients = self._compute(loss)

    def __call__(self, *batch: Tensor) -> Float[Tensor, ""]:
        """Set the gradients of the parameters and return the loss; both change at the next call."""
        for static, tensor in zip(self.batch, batch, strict=True):
            static.copy_(tensor)
        self.graph.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return self.loss

    def _warm_up(self, loss: Loss) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_CALLS):
                self._compute(loss)
        torch.cuda.current_stream().wait_stream(stream)

    def _compute(self, loss: Loss) -> tuple[Tensor, list[Tensor]]:
        """Compute the loss and its gradients, laid out like the parameters for the optimizer."""
        value = loss(*self.batch)
        gradients = torch.autograd.grad(value, self.parameters)
        return value.detach(), [gradient.contiguous() for gradient in gradients]
