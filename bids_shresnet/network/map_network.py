"""A small network from lengths of coefficients to FA and MD."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bids_shresnet.network.amplitude import (
    coefficient_groups,
    count_length_features,
    length_features,
)
from bids_shresnet.network.minimize import minimize_loss
from bids_shresnet.network.patches import patches_to_rows

MAP_COUNT = 2  # FA and MD
MAX_FA = 1.0
HIDDEN = 64
MIN_DEVIATION = 1e-6  # of a feature; a constant one stays zero


class MapNetwork(nn.Module):
    """Predict FA and MD (mm2/s) from a patch.

    The features do not depend on directions, so a rotated head gives the same answer.
    """

    centre: Tensor  # mean of the features
    scale: Tensor  # standard deviation of the features
    label_centre: Tensor  # mean FA and MD
    label_scale: Tensor  # their standard deviations

    def __init__(self, counts: Sequence[int]) -> None:
        """`counts` are the coefficients of every order and shell of a patch."""
        super().__init__()
        self.counts = tuple(counts)
        self.groups = coefficient_groups(counts)
        size = count_length_features(self.groups)
        self.layers = nn.Sequential(
            *(nn.Linear(size, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU()),
            nn.Linear(HIDDEN, MAP_COUNT),
        )
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.register_buffer("label_centre", torch.zeros(MAP_COUNT))
        self.register_buffer("label_scale", torch.ones(MAP_COUNT))

    def features(self, rows: Float[Tensor, "v 27 n"]) -> Float[Tensor, "v f"]:
        """Contrast of S0 and lengths of all orders."""
        return length_features(rows, self.groups)

    def standardized(self, features: Float[Tensor, "v f"]) -> Float[Tensor, "v 2"]:
        """FA and MD in standard deviations from their mean."""
        values: Tensor = self.layers((features - self.centre) / self.scale)
        return values

    def forward(self, patches: Float[Tensor, "v n 3 3 3"]) -> Float[Tensor, "v 2"]:
        """Predict FA (0 to 1) and MD (at least 0)."""
        features = self.features(patches_to_rows(patches))
        maps = self.label_centre + self.label_scale * self.standardized(features)
        fa, md = maps.clamp_min(0).unbind(1)
        return torch.stack([fa.clamp_max(MAX_FA), md], 1)


def build_map_network(counts: Sequence[int], *, seed: int) -> MapNetwork:
    """Build a network whose initial weights depend on the seed only."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MapNetwork(counts)


def fit_map_network(
    network: MapNetwork,
    features: Float[Tensor, "v f"],
    maps: Float[Tensor, "v 2"],
    *,
    seed: int,
) -> float:
    """Fit in place by least squares with Adam; returns the mean loss of the last epoch.

    FA and MD count alike: each in units of its standard deviation.
    """
    network.centre = features.mean(0)
    network.scale = features.std(0).clamp_min(MIN_DEVIATION)
    network.label_centre = maps.mean(0)
    network.label_scale = maps.std(0)
    labels = (maps - network.label_centre) / network.label_scale

    def batch_loss(features: Tensor, labels: Tensor) -> Tensor:
        return (network.standardized(features) - labels).square().mean()

    return minimize_loss(network, batch_loss, (features, labels), seed=seed)
