"""Regression of FA and MD as the target measures them, without a signal in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bids_shresnet.methods.harmonizer import Arrays, FitResult, FitTask
from bids_shresnet.methods.networks.modules import load_module, module_arrays
from bids_shresnet.methods.sampling import draw_rows
from bids_shresnet.network.map_network import (
    MapNetwork,
    build_map_network,
    fit_map_network,
)
from bids_shresnet.network.patches import PATCHES_PER_CHUNK, apply_to_patches
from bids_shresnet.scans import ShImage

MAX_VOXELS = 400_000


@dataclass(frozen=True)
class MapRegression:
    """A trained network from patches to maps."""

    network: MapNetwork

    def predict(self, image: ShImage) -> Float[np.ndarray, "v 2"]:
        """Predict FA and MD (mm2/s) in the mask, in the order of `np.argwhere`."""
        device = self.network.centre.device
        volume = torch.tensor(image.channels, dtype=torch.float32, device=device)
        voxels = torch.from_numpy(np.argwhere(image.mask)).to(device)
        return np.asarray(apply_to_patches(self.network, volume, voxels).cpu().numpy())

    def arrays(self) -> Arrays:
        """Return the weights."""
        return module_arrays(self.network)

    def record(self) -> dict[str, Any]:
        """Return the number of coefficients of every order and shell."""
        return {"counts": list(self.network.counts)}


def fit_map_regression(task: FitTask) -> FitResult[MapRegression]:
    """Fit one network to the target's maps at the matched voxels of the training subjects."""
    network = build_map_network(task.outputs, seed=task.seed).to(task.device)
    features, maps = _read_samples(network, task)
    loss = fit_map_network(network, features, maps, seed=task.seed)
    return FitResult(MapRegression(network.cpu().eval()), notes={"loss": loss})


def load_map_regression(
    arrays: Arrays, record: Mapping[str, Any], device: str = "cpu"
) -> MapRegression:
    """Load a network from its arrays and record."""
    network = load_module(lambda: MapNetwork(record["counts"]), arrays)
    return MapRegression(network.to(device))


def _read_samples(
    network: MapNetwork, task: FitTask
) -> tuple[Float[Tensor, "v f"], Float[Tensor, "v 2"]]:
    """Read features of the patches and the target's maps, subject by subject."""
    subjects = [subject.matched for subject in task.training]
    drawn = draw_rows(subjects, MAX_VOXELS, seed=[task.seed, 3])
    features: list[Tensor] = []
    maps: list[Tensor] = []
    for subject, rows in zip(task.training, drawn, strict=True):
        for start in range(0, len(rows), PATCHES_PER_CHUNK):
            chunk = rows[start : start + PATCHES_PER_CHUNK]
            patches = torch.from_numpy(subject.matched.patches[chunk]).to(task.device).float()
            features.append(network.features(patches))
        maps.append(torch.from_numpy(subject.unharmonized.target_maps[rows]).float())
    return torch.cat(features), torch.cat(maps).to(task.device)
