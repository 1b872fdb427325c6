"""Denoising alone: the network of SHResNet between the halves of a scanner's own scans.

It sees no other scanner. A harmonizer that is not better than it has shown that it removes noise,
not that it removes the difference between the scanners.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.halves import represent_halves
from bids_shresnet.methods.harmonizer import (
    Arrays,
    FitResult,
    FitTask,
    combine_predictions,
)
from bids_shresnet.methods.networks.shresnet import ShresnetHarmonizer, fit_shresnet, load_shresnet
from bids_shresnet.scans import Dwi, Shell, ShImage


@dataclass(frozen=True)
class Denoiser:
    """A network that predicts one half of a scan's directions from the other half.

    Attributes
    ----------
    shells
        Shells of a half.
    """

    network: ShresnetHarmonizer
    shells: tuple[Shell, ...]

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """Predict the coefficients of the other half in the mask."""
        return self.network.predict(image)

    def denoise(
        self, dwi: Dwi, mask: Bool[np.ndarray, "x y z"], shells: tuple[Shell, ...]
    ) -> Float[np.ndarray, "v c"]:
        """Predict both halves of a scan from each other, and take the mean.

        Returns
        -------
        Coefficients of `shells` in the mask; those of orders that no half determines are zero.

        Raises
        ------
        ValueError
            If the scan lacks a shell.
        """
        halves = represent_halves(dwi, mask, self.shells)
        predictions = [self.predict(half.image) for half in halves]
        mean = combine_predictions(predictions, self.shells)
        return _append_orders(mean, self.shells, shells)

    def arrays(self) -> Arrays:
        """Return the weights of the network and of its head."""
        return self.network.arrays()

    def record(self) -> dict[str, Any]:
        """Return the record of the network, and the shells of a half."""
        return {**self.network.record(), "shells": [asdict(shell) for shell in self.shells]}


def fit_denoiser(task: FitTask) -> FitResult[Denoiser]:
    """Train a network like SHResNet; the task's subjects are halves of one scanner's scans."""
    fitted = fit_shresnet(task)
    denoiser = Denoiser(fitted.harmonizer, task.shells)
    return FitResult(denoiser, fitted.epochs, fitted.best_epoch, fitted.notes)


def load_denoiser(arrays: Arrays, record: Mapping[str, Any], device: str = "cpu") -> Denoiser:
    """Load a network from its arrays and record."""
    shells = tuple(Shell(**shell) for shell in record["shells"])
    return Denoiser(load_shresnet(arrays, record, device), shells)


def _append_orders(
    coefficients: Float[np.ndarray, "v c"],
    shells: tuple[Shell, ...],
    wanted_shells: tuple[Shell, ...],
) -> Float[np.ndarray, "v d"]:
    """Append zeros to each shell up to the order of the wanted one."""
    parts = []
    start = 0
    for shell, wanted in zip(shells, wanted_shells, strict=True):
        part = coefficients[:, start : start + shell.coefficient_count]
        missing_count = wanted.coefficient_count - shell.coefficient_count
        parts.append(np.pad(part, ((0, 0), (0, missing_count))))
        start += shell.coefficient_count
    return np.concatenate(parts, axis=1)
