"""The voxel-wise network of Golkov et al. 2016 (q-DL), with coefficients in and out."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


@dataclass(frozen=True)
class GolkovArchitecture:
    """Parameters that the network is built from; the defaults are the paper's."""

    channels: int
    hidden: int = 150
    layers: int = 3
    dropout: float = 0.1

    def to_record(self) -> dict[str, Any]:
        """Return the parameters as plain JSON."""
        return asdict(self)


class GolkovNetwork(nn.Module):
    """Predict a voxel's coefficients on the target scanner from those on the source scanner.

    Only the centre of a patch is used.
    """

    def __init__(self, architecture: GolkovArchitecture) -> None:
        super().__init__()
        self.architecture = architecture
        widths = [architecture.channels, *[architecture.hidden] * architecture.layers]
        parts: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            parts += [nn.Linear(inputs, outputs), nn.ReLU(), nn.Dropout(architecture.dropout)]
        self.layers = nn.Sequential(*parts, nn.Linear(widths[-1], architecture.channels))

    def forward(self, patches: Float[Tensor, "b n 3 3 3"]) -> Float[Tensor, "b c"]:
        """Predict the centre voxel from itself."""
        centre: Tensor = self.layers(patches[:, : self.architecture.channels, 1, 1, 1])
        return centre


def build_golkov(architecture: GolkovArchitecture, *, seed: int) -> GolkovNetwork:
    """Build a network whose initial weights depend on the seed only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GolkovNetwork(architecture)
