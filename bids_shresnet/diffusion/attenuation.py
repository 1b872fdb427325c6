"""S/S0: the signal relative to the mean b0 of its scan; receive profile and gain cancel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import gammaincinv

from bids_shresnet.scans import B0_THRESHOLD, Dwi

# Diffusion only attenuates; anything above is noise or a voxel whose S0 is hardly measured.
MAX_RELATIVE_SIGNAL = 1.0
# s/mm2. Below it, tissue is so near to S0 that a limit of 1 would cut its noise on one side.
LOW_BVALUE = 300.0
LOW_BVALUE_MARGIN_SD = 3  # standard deviations of the noise above 1
# Of a predicted signal. Nothing that is fitted to logarithms can use less, and scanners measure
# noise there.
MIN_RELATIVE_SIGNAL = 1e-3
# Share of the median S0 in the mask. Below it lies background, and S/S0 would be noise over noise.
MIN_S0_SHARE = 0.1


@dataclass(frozen=True)
class Attenuation:
    """S/S0 of the voxels of a mask.

    Attributes
    ----------
    signal
        S/S0 of every volume, in [0, 1] or, at low b-values, up to a little more; (voxel, volume),
        volumes in the order of the DWI.
    clipped_share
        Share of diffusion-weighted values that lay outside of these limits.
    """

    signal: Float[np.ndarray, "v n"]
    clipped_share: float


def mean_b0(dwi: Dwi) -> Float[np.ndarray, "x y z"]:
    """S0, the mean of the b0 volumes; zero where it is not finite."""
    mean = dwi.data[..., dwi.is_b0].mean(axis=-1)
    return np.asarray(np.nan_to_num(mean, nan=0, posinf=0, neginf=0))


def compute_attenuation(dwi: Dwi, mask: Bool[np.ndarray, "x y z"]) -> Attenuation:
    """Divide by S0 and clip to [0, 1].

    Shells below `LOW_BVALUE` may exceed 1 by their noise, if several b0 volumes show its size.
    Voxels without a measurable S0 become 0: they hold no signal.
    """
    s0 = mean_b0(dwi)[mask]
    is_measured = s0 > MIN_S0_SHARE * max(float(np.median(s0)), float(np.finfo(np.float32).tiny))
    ratio = dwi.data[mask] / np.where(is_measured, s0, 1)[:, None]
    ratio = np.where(is_measured[:, None] & np.isfinite(ratio), ratio, 0)
    limits = _upper_limits(dwi, ratio[is_measured][:, dwi.is_b0])
    weighted = ratio[:, ~dwi.is_b0]
    is_clipped = (weighted < 0) | (weighted > limits[~dwi.is_b0])
    signal = np.clip(ratio, 0, limits).astype(np.float32)
    return Attenuation(signal, float(is_clipped.mean()))


def _upper_limits(dwi: Dwi, b0s: Float[np.ndarray, "v k"]) -> Float[np.ndarray, " n"]:
    """Largest S/S0 of each volume that is signal; the noise is that of the b0 volumes over S0."""
    limits = np.full(len(dwi.bvals), MAX_RELATIVE_SIGNAL, dtype=np.float32)
    is_low = (dwi.bvals >= B0_THRESHOLD) & (dwi.bvals < LOW_BVALUE)
    freedom = b0s.shape[1] - 1
    if is_low.any() and freedom and len(b0s):
        median_variance = np.median(b0s.var(axis=1, ddof=1))
        chi_square_median = 2 * gammaincinv(freedom / 2, 0.5)
        noise = np.sqrt(median_variance * freedom / chi_square_median)
        limits[is_low] += LOW_BVALUE_MARGIN_SD * noise
    return limits
