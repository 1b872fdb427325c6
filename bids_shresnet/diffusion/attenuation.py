"""S/S0: the signal relative to the mean b0 of the same scan, which cancels receive profile and gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.scans import Dwi

CAP = 1.0  # diffusion only attenuates; anything above is noise or a voxel where S0 is hardly measured
FLOOR = 0.1  # of the median S0 in the mask: below it lies background, and S/S0 would be noise over noise


@dataclass(frozen=True)
class Attenuation:
    """S/S0 of the voxels of a mask.

    Attributes
    ----------
    signal
        S/S0 of every volume, in [0, 1]; (voxel, volume), volumes in the order of the series.
    clipped
        Share of diffusion-weighted values that lay outside [0, 1].
    """

    signal: Float[np.ndarray, "v n"]
    clipped: float


def mean_b0(dwi: Dwi) -> Float[np.ndarray, "x y z"]:
    """S0, the mean of the b0 volumes; zero where that is no number."""
    return np.asarray(np.nan_to_num(dwi.data[..., dwi.b0s].mean(axis=-1), nan=0, posinf=0, neginf=0))


def attenuation(dwi: Dwi, mask: Bool[np.ndarray, "x y z"]) -> Attenuation:
    """Divide by S0 and clip to what diffusion can do.

    Voxels whose S0 is not positive (or is lost in rounding) become 0: there is no signal to speak of.
    """
    s0 = mean_b0(dwi)[mask]
    measured = s0 > FLOOR * max(float(np.median(s0)), float(np.finfo(np.float32).tiny))
    ratio = dwi.data[mask] / np.where(measured, s0, 1)[:, None]
    ratio = np.where(measured[:, None] & np.isfinite(ratio), ratio, 0)
    weighted = ratio[:, ~dwi.b0s]
    clipped = float(((weighted < 0) | (weighted > CAP)).mean())
    return Attenuation(np.clip(ratio, 0, CAP).astype(np.float32), clipped)
