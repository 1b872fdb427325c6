"""How near a predicted signal is to the one that was measured: errors, means and orientations of a set of voxels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

from bids_shresnet.diffusion.tensors import TensorValues, fit_relative_tensor
from bids_shresnet.pairs import MatchedVoxels
from bids_shresnet.scans import Tissue

TISSUE_CODES = {"WM": Tissue.WM, "GM": Tissue.GM}
MIN_TISSUE_VOXELS = 20  # of a tissue, to say anything about it
NOISE_DRAWS = 4  # of noise
MIN_ORIENTED_FA = 0.3  # measured FA above which a voxel has one principal direction to speak of


@dataclass(frozen=True)
class Quantities:
    """What is compared of some voxels: S/S0 in the target's directions, and the tensor fitted to it."""

    signal: Float[np.ndarray, "v d"]
    tensor: TensorValues

    def to_dict(self) -> dict[str, Float[np.ndarray, "v *d"]]:
        """By the name a table gives them."""
        return {"signal": self.signal, "FA": self.tensor.fa, "MD": self.tensor.md}


def tissue_masks(tissue: Integer[np.ndarray, " v"]) -> Iterator[tuple[str, Bool[np.ndarray, " v"]]]:
    """Name and voxels of each tissue that there is enough of."""
    for name, label in TISSUE_CODES.items():
        inside = tissue == label
        if inside.sum() >= MIN_TISSUE_VOXELS:
            yield name, inside


def quantities_from_coefficients(
    coefficients: Float[np.ndarray, "v c"], matched: MatchedVoxels
) -> Quantities:
    """Coefficients as the target's gradient table shows them."""
    signal = np.clip(coefficients @ matched.sh_matrix.T, 0, 1)
    return Quantities(signal, fit_relative_tensor(signal, matched.bvals, matched.bvecs))


def add_measurement_noise(
    quantities: Quantities, matched: MatchedVoxels, *, seed: int
) -> Quantities:
    """A prediction without noise as the target would measure it: FA and MD are the mean over draws of its noise.

    Noise makes measured FA too high, most where it is low. Compared with a measurement a prediction free of noise would
    look too isotropic, and a noisy one right for the wrong reason. Noise of a magnitude image is Rician.
    """
    rng = np.random.default_rng(seed)
    sigma = np.sqrt(np.nan_to_num(matched.noise_variance))[:, None]
    fits = []
    for _ in range(NOISE_DRAWS):
        real, imaginary = (
            sigma * rng.standard_normal(quantities.signal.shape, dtype=np.float32) for _ in range(2)
        )
        fits.append(
            fit_relative_tensor(
                np.hypot(quantities.signal + real, imaginary), matched.bvals, matched.bvecs
            )
        )
    fa, md = (np.mean([getattr(fit, name) for fit in fits], axis=0) for name in ("fa", "md"))
    return Quantities(quantities.signal, TensorValues(fa, md, quantities.tensor.direction))


def nmse(truth: Float[np.ndarray, "..."], value: Float[np.ndarray, "..."]) -> float:
    """Normalized mean squared error (Koppers et al. 2018, Eq. 2): squared differences over the truth's squares."""
    return float(np.square(truth - value).sum() / np.square(truth).sum())


def mean_angle(first: Float[np.ndarray, "v 3"], second: Float[np.ndarray, "v 3"]) -> float:
    """Mean angle between two sets of axes, degrees."""
    return float(angles(first, second).mean())


def angles(
    first: Float[np.ndarray, "v 3"], second: Float[np.ndarray, "v 3"]
) -> Float[np.ndarray, " v"]:
    """Angle between the two axes of each row, degrees."""
    return np.asarray(np.degrees(np.arccos(np.clip(np.abs((first * second).sum(axis=1)), 0, 1))))


def angular_correlation(first: Float[np.ndarray, "v c"], second: Float[np.ndarray, "v c"]) -> float:
    """Mean correlation of two signals over the sphere (Anderson 2005, Eq. 71), order 0 left out by the caller."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    return float(
        ((first * second).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)).mean()
    )
