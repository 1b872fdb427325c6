"""Samples and a network for tests of training."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bids_shresnet.network.shresnet import Architecture
from bids_shresnet.network.training_loop import Samples

SMALL = Architecture((1, 5), resblocks=1, hidden=6)
CHANNELS = SMALL.output_channels


def random_samples(voxels: int, *, directions: tuple[int, ...] = (8,), seed: int = 0) -> Samples:
    """Random voxels of subjects with these numbers of directions, padded with zeros."""
    generator = torch.Generator().manual_seed(seed)
    matrices = torch.zeros(len(directions), max(directions), CHANNELS)
    signal = torch.zeros(voxels, max(directions))
    subject = torch.randint(len(directions), (voxels,), generator=generator)
    for index, count in enumerate(directions):
        matrices[index, :count] = torch.randn(count, CHANNELS, generator=generator)
        is_selected = subject == index
        values = torch.rand(int(is_selected.sum()), count, generator=generator)
        signal[is_selected, :count] = values
    patches = torch.randn(voxels, 27, CHANNELS + 1, generator=generator)  # with contrast
    return Samples(patches.half(), signal.half(), subject, matrices)


def one_voxel(value: float, sensitivity: float = 1.0) -> Samples:
    """A voxel with one direction, whose signal depends on coefficient 0 only."""
    matrix = torch.zeros(1, 1, CHANNELS)
    matrix[0, 0, 0] = sensitivity
    return Samples(
        patches=torch.zeros(1, 27, CHANNELS),
        signal=torch.full((1, 1), value),
        subject_index=torch.zeros(1, dtype=torch.long),
        matrices=matrix,
    )


class ConstantNetwork(nn.Module):
    """Predicts the same coefficients everywhere; they start at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(CHANNELS))

    def forward(self, patches: Float[Tensor, "b c 3 3 3"]) -> Float[Tensor, "b c"]:
        return self.value.expand(len(patches), -1)
