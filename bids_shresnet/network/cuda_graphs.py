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
        Network in the mode (training or evaluation) in which the gradients are used. The loss
        depends on each of its trained parameters.
    loss
        Loss of a batch. A graph can neither read a value from the GPU nor bring one there, so a
        loss makes no tensors from numbers or lists.
    batch
        Arguments of the loss, as an example of their shapes.
    """
    parameters = [part for part in network.parameters() if part.requires_grad]
    graph = GradientGraph(parameters, loss, batch) if batch[0].is_cuda else None

    def set_gradients(*tensors: Tensor) -> Float[Tensor, ""]:
        if graph is not None and len(tensors[0]) == len(batch[0]):
            value, gradients = graph(*tensors)
        else:
            value, gradients = compute_gradients(parameters, loss, tensors)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        return value

    return set_gradients


def compute_gradients(
    parameters: Sequence[nn.Parameter], loss: Loss, batch: Sequence[Tensor]
) -> tuple[Float[Tensor, ""], list[Tensor]]:
    """Compute a loss and its gradients, laid out like the parameters for the optimizer."""
    value = loss(*batch)
    gradients = torch.autograd.grad(value, parameters)
    return value.detach(), [gradient.contiguous() for gradient in gradients]


class GradientGraph:
    """A loss and its gradients, captured once and replayed with other batches of the same size."""

    def __init__(
        self, parameters: Sequence[nn.Parameter], loss: Loss, batch: Sequence[Tensor]
    ) -> None:
        self.batch = [tensor.clone() for tensor in batch]
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.device(self.batch[0].device):
            self._warm_up(parameters, loss)
            with torch.cuda.graph(self.graph):
                self.results = compute_gradients(parameters, loss, self.batch)

    def __call__(self, *batch: Tensor) -> tuple[Float[Tensor, ""], list[Tensor]]:
        """Return the loss and the gradients; both change at the next call."""
        for static, tensor in zip(self.batch, batch, strict=True):
            static.copy_(tensor)
        self.graph.replay()
        return self.results

    def _warm_up(self, parameters: Sequence[nn.Parameter], loss: Loss) -> None:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UP_CALLS):
                compute_gradients(parameters, loss, self.batch)
        torch.cuda.current_stream().wait_stream(stream)
