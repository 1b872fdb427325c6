"""Signal, FA and MD of matched voxels, and their errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

from bids_shresnet.diffusion.tensors import TensorValues, fit_relative_tensor
from bids_shresnet.evaluation.results import TISSUES
from bids_shresnet.pairs import MatchedVoxels
from bids_shresnet.scans import Tissue

TISSUE_CODES = {name: Tissue[name] for name in TISSUES}
MIN_TISSUE_VOXELS = 20  # a tissue with fewer voxels is not evaluated
MIN_ORIENTED_FA = 0.3  # measured FA above which a voxel has one principal direction


@dataclass(frozen=True)
class Quantities:
    """Compared quantities of v voxels: S/S0 in the target's d directions, and its tensor."""

    signal: Float[np.ndarray, "v d"]
    tensor: TensorValues

    def to_dict(self) -> dict[str, Float[np.ndarray, "v *d"]]:
        """Signal, FA and MD by their name in tables (`QUANTITIES`)."""
        return {"signal": self.signal, "FA": self.tensor.fa, "MD": self.tensor.md}


def tissue_masks(tissue: Integer[np.ndarray, " v"]) -> Iterator[tuple[str, Bool[np.ndarray, " v"]]]:
    """Yield name and voxels of each tissue with enough voxels."""
    for name, code in TISSUE_CODES.items():
        mask = tissue == code
        if mask.sum() >= MIN_TISSUE_VOXELS:
            yield name, mask


def quantities_from_coefficients(
    coefficients: Float[np.ndarray, "v c"], matched: MatchedVoxels
) -> Quantities:
    """Quantities of SH coefficients, sampled with the target's gradient table."""
    signal = np.clip(coefficients @ matched.sh_matrix.T, 0, 1)
    return Quantities(signal, fit_relative_tensor(signal, matched.bvals, matched.bvecs))


def nmse(reference: Float[np.ndarray, "..."], value: Float[np.ndarray, "..."]) -> float:
    """Normalized mean squared error (Koppers et al. 2018, Eq. 2).

    It is the sum of squared differences over the sum of the reference's squares.
    """
    return float(np.square(reference - value).sum() / np.square(reference).sum())


def relative_bias(reference: Float[np.ndarray, "..."], value: Float[np.ndarray, "..."]) -> float:
    """Mean of the value relative to the reference's mean, minus 1."""
    return float(value.mean() / reference.mean()) - 1


def mean_angle(first: Float[np.ndarray, "v 3"], second: Float[np.ndarray, "v 3"]) -> float:
    """Mean angle between two sets of axes, degrees."""
    return float(angles(first, second).mean())


def angles(
    first: Float[np.ndarray, "v 3"], second: Float[np.ndarray, "v 3"]
) -> Float[np.ndarray, " v"]:
    """Angle between the two axes (unit vectors of any sign) of each row, degrees."""
    cosines = np.clip(np.abs((first * second).sum(axis=1)), 0, 1)
    return np.asarray(np.degrees(np.arccos(cosines)))


def angular_correlation(first: Float[np.ndarray, "v c"], second: Float[np.ndarray, "v c"]) -> float:
    """Mean correlation of two signals over the sphere (Anderson 2005, Eq. 71).

    The coefficients are those of the orders above 0.
    """
    products = (first * second).sum(axis=1)
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float((products / np.maximum(lengths, np.finfo(np.float32).tiny)).mean())
