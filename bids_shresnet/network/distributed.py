"""One training in several processes, as torchrun starts them: each computes a share of every batch.

Losses and gradients of the shares are weighted and added up, so that they are those of the whole batch, whatever the
number of processes; the networks are small enough for one message a step.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
from jaxtyping import Int
from torch import Tensor, nn

from bids_shresnet.runtime.torchrun import Place

PATIENCE = timedelta(days=1)  # for the others: another job may hold a fold for as long as it trains


@contextmanager
def together(place: Place, device: str) -> Iterator[None]:
    """Join the other processes, if there are any, while the body runs."""
    if not place.shared:
        yield
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo", timeout=PATIENCE
    )
    try:
        yield
    finally:
        dist.destroy_process_group()


def joined() -> bool:
    """Whether there are other processes."""
    return dist.is_available() and dist.is_initialized()


def first() -> bool:
    """Whether this is the process that writes files."""
    return not joined() or dist.get_rank() == 0


def agreed(answer: bool) -> bool:
    """The first process's answer, in all of them."""
    if not joined():
        return answer
    said = torch.tensor([int(answer)])
    dist.broadcast(said, 0)
    return bool(said.item())


def share(rows: Int[Tensor, " n"]) -> Int[Tensor, " m"]:
    """The part of some rows that falls to this process; there may be none."""
    return rows[dist.get_rank() :: dist.get_world_size()] if joined() else rows


def added_up(value: float) -> float:
    """The sum of what all processes have."""
    if not joined():
        return value
    total = torch.tensor([value], dtype=torch.float64)
    dist.all_reduce(total)
    return float(total.item())


def add_up_gradients(network: nn.Module) -> None:
    """Give every process the sum of all gradients; where one computed none, it has zeros."""
    if not joined():
        return
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    parts = [torch.zeros_like(weight) if weight.grad is None else weight.grad for weight in weights]
    total = torch.cat([part.flatten() for part in parts])
    dist.all_reduce(total)
    for weight, part in zip(
        weights, total.split([weight.numel() for weight in weights]), strict=True
    ):
        weight.grad = part.view_as(weight)


def same_start(network: nn.Module) -> None:
    """Give every process the first one's weights: machines differ in the last digits of what these begin with."""
    if joined():
        for value in network.state_dict().values():
            dist.broadcast(value, 0)
