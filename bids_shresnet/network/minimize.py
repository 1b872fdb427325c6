"""Minimize the loss of a small network over samples that are all in memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bids_shresnet.network.cuda_graphs import Loss, make_gradient_function
from bids_shresnet.network.schedules import make_adam

EPOCHS = 8
BATCH_SIZE = 512
LEARNING_RATE = 4e-3


def minimize_loss(
    network: nn.Module,
    batch_loss: Loss,
    tensors: Sequence[Tensor],
    *,
    seed: int,
    max_gradient_norm: float | None = None,
) -> float:
    """Minimize in place with Adam, whose learning rate rises and then falls.

    Parameters
    ----------
    network
        Network or part of one, all of which the loss depends on.
    batch_loss
        Mean loss of the rows of a batch, from one part of each tensor.
    tensors
        Samples; their first axes are equally long.
    seed
        Seed of the order of the samples.
    max_gradient_norm
        Norm to which larger gradients are reduced; None for no limit.

    Returns
    -------
    The mean loss of the last epoch.
    """
    first = tensors[0]
    generator = torch.Generator().manual_seed(seed)
    optimizer = make_adam(network, LEARNING_RATE)
    steps = EPOCHS * -(-len(first) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    example = [part[:BATCH_SIZE] for part in tensors]
    compute_gradients = make_gradient_function(network, batch_loss, example)
    epoch_loss = torch.zeros((), dtype=torch.float64, device=first.device)
    for _ in range(EPOCHS):
        epoch_loss.zero_()
        order = torch.randperm(len(first), generator=generator).to(first.device)
        for rows in order.split(BATCH_SIZE):
            loss = compute_gradients(*(part[rows] for part in tensors))
            if max_gradient_norm is not None:
                nn.utils.clip_grad_norm_(network.parameters(), max_gradient_norm)
            optimizer.step()
            schedule.step()
            epoch_loss += loss.double() * len(rows) / len(first)
    return epoch_loss.item()
