"""Golkov's voxel-wise network (q-DL) as a baseline, trained like SHResNet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from bids_shresnet.methods.harmonizer import Arrays, FitResult, FitTask
from bids_shresnet.methods.networks.modules import load_module, module_arrays
from bids_shresnet.methods.networks.shresnet import train_network
from bids_shresnet.network.golkov import GolkovArchitecture, GolkovNetwork, build_golkov
from bids_shresnet.network.patches import apply_to_patches
from bids_shresnet.scans import ShImage


@dataclass(frozen=True)
class GolkovHarmonizer:
    """A trained network."""

    network: GolkovNetwork

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """Predict the voxels of the mask."""
        device = next(self.network.parameters()).device
        volume = torch.tensor(image.coefficients, device=device)
        voxels = torch.from_numpy(np.argwhere(image.mask)).to(device)
        return np.asarray(apply_to_patches(self.network, volume, voxels).cpu().numpy())

    def arrays(self) -> Arrays:
        """Return the weights."""
        return module_arrays(self.network)

    def record(self) -> dict[str, Any]:
        """Return the architecture."""
        return {"architecture": self.network.architecture.to_record()}


def fit_golkov(task: FitTask) -> FitResult[GolkovHarmonizer]:
    """Train one network with the same settings as SHResNet."""
    network = build_golkov(GolkovArchitecture(sum(task.outputs)), seed=task.seed)
    history = train_network(network.to(task.device), task)
    return FitResult(GolkovHarmonizer(network.cpu().eval()), history.epochs, history.best_epoch)


def load_golkov(arrays: Arrays, record: Mapping[str, Any], device: str = "cpu") -> GolkovHarmonizer:
    """Load a network from its arrays and record."""
    architecture = GolkovArchitecture(**record["architecture"])
    if not 0 <= architecture.layers <= len(arrays):
        msg = f"{len(arrays)} arrays are too few for {architecture}"
        raise ValueError(msg)
    network = load_module(lambda: GolkovNetwork(architecture), arrays)
    return GolkovHarmonizer(network.to(device))
