"""Harmonizers in closed form: nothing but the representation, one gain an order, a linear map of the patch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.harmonics import order_indices
from bids_shresnet.methods.harmonizer import Arrays, FitResult, FitTask
from bids_shresnet.methods.regression import ROWS_PER_CHUNK, fit_ridge, fit_target_coefficients
from bids_shresnet.network.patches import NEIGHBOUR_OFFSETS
from bids_shresnet.scans import ShImage


@dataclass(frozen=True)
class ShProjection:
    """The scan's own coefficients: what representing it in spherical harmonics alone does."""

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """As fitted."""
        return np.asarray(image.coefficients[image.mask])

    def arrays(self) -> Arrays:
        """Nothing is learned."""
        return {}

    def record(self) -> dict[str, Any]:
        """Nothing is chosen."""
        return {}


@dataclass(frozen=True)
class OrderGain:
    """One gain for every order of every shell, the least-squares one; a constant is added to order 0."""

    gains: Float[np.ndarray, " c"]
    offset: Float[np.ndarray, " c"]

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """Scale."""
        return np.asarray(image.coefficients[image.mask] * self.gains + self.offset)

    def arrays(self) -> Arrays:
        """Gains and offset."""
        return {"gains": self.gains, "offset": self.offset}

    def record(self) -> dict[str, Any]:
        """Nothing is chosen."""
        return {}


@dataclass(frozen=True)
class PatchLinear:
    """A linear map of the 3x3x3 patch's coefficients: what a network must beat to be worth its training."""

    weights: Float[np.ndarray, "f c"]
    offset: Float[np.ndarray, " c"]

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """One matrix product."""
        around = np.pad(image.coefficients, ((1, 1), (1, 1), (1, 1), (0, 0)))
        steps = NEIGHBOUR_OFFSETS.numpy() + 1
        voxels = np.argwhere(image.mask)
        parts = []
        for start in range(0, len(voxels), ROWS_PER_CHUNK):
            i, j, k = np.moveaxis(voxels[start : start + ROWS_PER_CHUNK, None] + steps, -1, 0)
            parts.append(around[i, j, k].reshape(len(i), -1) @ self.weights + self.offset)
        return np.concatenate(parts)

    def arrays(self) -> Arrays:
        """Weights and offset."""
        return {"weights": self.weights, "offset": self.offset}

    def record(self) -> dict[str, Any]:
        """Nothing is chosen."""
        return {}


def fit_sh_projection(_: FitTask) -> FitResult:
    """Nothing to fit."""
    return FitResult(ShProjection())


def fit_order_gain(task: FitTask) -> FitResult:
    """Least squares, order by order, over the patches' centres."""
    groups = order_indices(task.shells)
    channels = sum(task.outputs)
    pairs = [
        (s.matched.patches[:, 13, :channels].astype(np.float32), fit_target_coefficients(s.matched))
        for s in task.training
    ]
    gains, offset = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    for group in groups:
        seen, wanted = (np.concatenate([pair[side][:, group] for pair in pairs]) for side in (0, 1))
        shift = (
            (seen.mean(0), wanted.mean(0)) if len(group) == 1 else (0.0, 0.0)
        )  # order 0 has a mean, others a turn
        seen, wanted = seen - shift[0], wanted - shift[1]
        gains[group] = (seen * wanted).sum() / np.square(seen).sum()
        offset[group] = shift[1] - gains[group] * shift[0]
    return FitResult(OrderGain(gains, offset))


def fit_patch_linear(task: FitTask) -> FitResult:
    """Ridge regression over all training voxels."""
    return FitResult(PatchLinear(*fit_ridge(task.training, sum(task.input_counts or task.outputs))))


def load_sh_projection(_: Arrays, __: Mapping[str, Any], device: str = "cpu") -> ShProjection:
    """Nothing to load."""
    return ShProjection()


def load_order_gain(arrays: Arrays, _: Mapping[str, Any], device: str = "cpu") -> OrderGain:
    """From `arrays`."""
    return OrderGain(**arrays)


def load_patch_linear(arrays: Arrays, _: Mapping[str, Any], device: str = "cpu") -> PatchLinear:
    """From `arrays`."""
    return PatchLinear(**arrays)
