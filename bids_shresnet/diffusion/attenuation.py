"""S/S0: the signal relative to the mean b0 of the same scan, which cancels receive profile and gain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.scans import Dwi

MAX_RELATIVE_SIGNAL = (
    1.0  # diffusion only attenuates; anything above is noise or a voxel where S0 is hardly measured
)
MIN_S0_SHARE = 0.1  # of the median S0 in the mask: below it lies background, and S/S0 would be noise over noise


@dataclass(frozen=True)
class Attenuation:
    """S/S0 of the voxels of a mask.

    Attributes
    ----------
    signal
        S/S0 of every volume, in [0, 1]; (voxel, volume), volumes in the order of the series.
    clipped_share
        Share of diffusion-weighted values that lay outside [0, 1].
    """

    signal: Float[np.ndarray, "v n"]
    clipped_share: float


def mean_b0(dwi: Dwi) -> Float[np.ndarray, "x y z"]:
    """S0, the mean of the b0 volumes; zero where that is no number."""
    return np.asarray(
        np.nan_to_num(dwi.data[..., dwi.is_b0].mean(axis=-1), nan=0, posinf=0, neginf=0)
    )


def compute_attenuation(dwi: Dwi, mask: Bool[np.ndarray, "x y z"]) -> Attenuation:
    """Divide by S0 and clip to what diffusion can do.

    Voxels whose S0 is not positive (or is lost in rounding) become 0: there is no signal to speak of.
    """
    s0 = mean_b0(dwi)[mask]
    measured = s0 > MIN_S0_SHARE * max(float(np.median(s0)), float(np.finfo(np.float32).tiny))
    ratio = dwi.data[mask] / np.where(measured, s0, 1)[:, None]
    ratio = np.where(measured[:, None] & np.isfinite(ratio), ratio, 0)
    weighted = ratio[:, ~dwi.is_b0]
    clipped = float(((weighted < 0) | (weighted > MAX_RELATIVE_SIGNAL)).mean())
    return Attenuation(np.clip(ratio, 0, MAX_RELATIVE_SIGNAL).astype(np.float32), clipped)
