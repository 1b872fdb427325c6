"""How near a predicted signal is to the one that was measured: errors, means and orientations of a set of voxels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Integer

from bids_shresnet.diffusion.tensors import TensorValues, relative_tensor
from bids_shresnet.pairs import Matched
from bids_shresnet.scans import Tissue

TISSUES = {"WM": Tissue.WM, "GM": Tissue.GM}
FEWEST_VOXELS = 20  # of a tissue, to say anything about it
DRAWS = 4  # of noise
ORIENTED = 0.3  # measured FA above which a voxel has one principal direction to speak of


@dataclass(frozen=True)
class Looks:
    """What is compared of some voxels: S/S0 in the target's directions, and the tensor fitted to it."""

    signal: Float[np.ndarray, "v d"]
    tensor: TensorValues

    def quantities(self) -> dict[str, Float[np.ndarray, "v *d"]]:
        """By the name a table gives them."""
        return {"signal": self.signal, "FA": self.tensor.fa, "MD": self.tensor.md}


def by_tissue(tissue: Integer[np.ndarray, " v"]) -> Iterator[tuple[str, Bool[np.ndarray, " v"]]]:
    """Name and voxels of each tissue that there is enough of."""
    for name, label in TISSUES.items():
        inside = tissue == label
        if inside.sum() >= FEWEST_VOXELS:
            yield name, inside


def look(coefficients: Float[np.ndarray, "v c"], matched: Matched) -> Looks:
    """Coefficients as the target's gradient table shows them."""
    signal = np.clip(coefficients @ matched.matrix.T, 0, 1)
    return Looks(signal, relative_tensor(signal, matched.bvals, matched.bvecs))


def as_measured(looks: Looks, matched: Matched, *, seed: int) -> Looks:
    """A prediction without noise as the target would measure it: FA and MD are the mean over draws of its noise.

    Noise makes measured FA too high, most where it is low. Compared with a measurement a prediction free of noise would
    look too isotropic, and a noisy one right for the wrong reason. Noise of a magnitude image is Rician.
    """
    rng = np.random.default_rng(seed)
    sigma = np.sqrt(np.nan_to_num(matched.noise))[:, None]
    fits = []
    for _ in range(DRAWS):
        real, imaginary = (sigma * rng.standard_normal(looks.signal.shape, dtype=np.float32) for _ in range(2))
        fits.append(relative_tensor(np.hypot(looks.signal + real, imaginary), matched.bvals, matched.bvecs))
    fa, md = (np.mean([getattr(fit, name) for fit in fits], axis=0) for name in ("fa", "md"))
    return Looks(looks.signal, TensorValues(fa, md, looks.tensor.direction))


def nmse(truth: Float[np.ndarray, "..."], value: Float[np.ndarray, "..."]) -> float:
    """Normalized mean squared error (Koppers et al. 2018, Eq. 2): squared differences over the truth's squares."""
    return float(np.square(truth - value).sum() / np.square(truth).sum())


def angle(one: Float[np.ndarray, "v 3"], other: Float[np.ndarray, "v 3"]) -> float:
    """Mean angle between two sets of axes, degrees."""
    return float(angles(one, other).mean())


def angles(one: Float[np.ndarray, "v 3"], other: Float[np.ndarray, "v 3"]) -> Float[np.ndarray, " v"]:
    """Angle between the two axes of each row, degrees."""
    return np.asarray(np.degrees(np.arccos(np.clip(np.abs((one * other).sum(axis=1)), 0, 1))))


def angular_correlation(one: Float[np.ndarray, "v c"], other: Float[np.ndarray, "v c"]) -> float:
    """Mean correlation of two signals over the sphere (Anderson 2005, Eq. 71), order 0 left out by the caller."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return float(((one * other).sum(axis=1) / np.maximum(lengths, np.finfo(np.float32).tiny)).mean())
