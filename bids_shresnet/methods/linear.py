"""Baselines in closed form: the representation alone, a gain per order, a linear patch map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from bids_shresnet.diffusion.bvalues import change_bvalues
from bids_shresnet.diffusion.harmonics import order_indices
from bids_shresnet.methods.harmonizer import Arrays, FitResult, FitTask
from bids_shresnet.methods.regression import ROWS_PER_CHUNK, fit_ridge, fit_target_coefficients
from bids_shresnet.network.patches import CENTRE_INDEX, NEIGHBOUR_OFFSETS
from bids_shresnet.scans import ShImage


@dataclass(frozen=True)
class ShProjection:
    """The scan's own coefficients at the target's b-values: the effect of the representation alone.

    Attributes
    ----------
    bvalues
        b-value of each shell on the target scanner, s/mm2.
    """

    bvalues: tuple[float, ...]

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """Bring the coefficients in the mask to the target's b-values."""
        return change_bvalues(image.coefficients[image.mask], image.shells, self.bvalues)

    def arrays(self) -> Arrays:
        """Return nothing: there are no parameters."""
        return {}

    def record(self) -> dict[str, Any]:
        """Return the b-values."""
        return {"bvalues": list(self.bvalues)}


@dataclass(frozen=True)
class OrderGain:
    """One least-squares gain for every order of every shell, and a constant added to order 0."""

    gains: Float[np.ndarray, " c"]
    offset: Float[np.ndarray, " c"]

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """Scale and shift the coefficients in the mask."""
        return np.asarray(image.coefficients[image.mask] * self.gains + self.offset)

    def arrays(self) -> Arrays:
        """Return the gains and the offset."""
        return {"gains": self.gains, "offset": self.offset}

    def record(self) -> dict[str, Any]:
        """Return nothing: there are no settings."""
        return {}


@dataclass(frozen=True)
class PatchLinear:
    """A linear map of the coefficients of the 3x3x3 patch, the benchmark for every network."""

    weights: Float[np.ndarray, "f c"]
    offset: Float[np.ndarray, " c"]

    def predict(self, image: ShImage) -> Float[np.ndarray, "v c"]:
        """Multiply the patch of every voxel of the mask by the weights, chunk by chunk."""
        padded = np.pad(image.coefficients, ((1, 1), (1, 1), (1, 1), (0, 0)))
        offsets = NEIGHBOUR_OFFSETS.numpy() + 1
        voxels = np.argwhere(image.mask)
        parts = []
        for start in range(0, len(voxels), ROWS_PER_CHUNK):
            neighbours = voxels[start : start + ROWS_PER_CHUNK, None] + offsets
            i, j, k = np.moveaxis(neighbours, -1, 0)
            parts.append(padded[i, j, k].reshape(len(i), -1) @ self.weights + self.offset)
        return np.concatenate(parts)

    def arrays(self) -> Arrays:
        """Return the weights and the offset."""
        return {"weights": self.weights, "offset": self.offset}

    def record(self) -> dict[str, Any]:
        """Return nothing: there are no settings."""
        return {}


def fit_sh_projection(task: FitTask) -> FitResult[ShProjection]:
    """Take the target's b-values, which are all that the projection needs."""
    bvals = task.training[0].matched.bvals  # shell after shell
    return FitResult(ShProjection(tuple(dict.fromkeys(bvals.tolist()))))


def fit_order_gain(task: FitTask) -> FitResult[OrderGain]:
    """Fit by least squares, order by order, over the centres of the patches."""
    channels = sum(task.outputs)
    matched = [subject.matched for subject in task.training]
    centres = [part.patches[:, CENTRE_INDEX, :channels].astype(np.float32) for part in matched]
    targets = [fit_target_coefficients(part) for part in matched]
    gains = np.ones(channels, np.float32)
    offset = np.zeros(channels, np.float32)
    for group in order_indices(task.shells):
        source = np.concatenate([part[:, group] for part in centres])
        target = np.concatenate([part[:, group] for part in targets])
        has_mean = len(group) == 1  # only order 0; the others change sign with orientation
        source_mean = source.mean(0) if has_mean else 0.0
        target_mean = target.mean(0) if has_mean else 0.0
        source = source - source_mean
        target = target - target_mean
        gains[group] = (source * target).sum() / np.square(source).sum()
        offset[group] = target_mean - gains[group] * source_mean
    return FitResult(OrderGain(gains, offset))


def fit_patch_linear(task: FitTask) -> FitResult[PatchLinear]:
    """Fit a ridge regression over all training voxels."""
    weights, offset = fit_ridge(task.training, sum(task.input_counts or task.outputs))
    return FitResult(PatchLinear(weights, offset))


def load_sh_projection(_: Arrays, record: Mapping[str, Any], device: str = "cpu") -> ShProjection:
    """Load the projection from its record."""
    return ShProjection(tuple(float(bvalue) for bvalue in record["bvalues"]))


def load_order_gain(arrays: Arrays, _: Mapping[str, Any], device: str = "cpu") -> OrderGain:
    """Load the gains from their arrays."""
    return OrderGain(**arrays)


def load_patch_linear(arrays: Arrays, _: Mapping[str, Any], device: str = "cpu") -> PatchLinear:
    """Load the map from its arrays."""
    return PatchLinear(**arrays)
