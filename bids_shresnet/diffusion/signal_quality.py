"""Defects of the values of a scan or a mask: counted, not corrected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from bids_shresnet.diffusion.attenuation import MIN_S0_SHARE, mean_b0
from bids_shresnet.scans import Dwi

TISSUE_S0_PERCENTILE = 98  # of S0; fluid is brighter than tissue, but smaller


@dataclass(frozen=True)
class SignalQuality:
    """Defects of the values of a scan.

    Attributes
    ----------
    has_signal
        Whether S0 is positive anywhere.
    not_finite_share, negative_share
        Share of the values inside the head that are NaN or infinite, or below zero.
    has_bad_background
        Whether there are such values outside the head.
    empty_volumes
        Indices of volumes that are zero everywhere.
    """

    has_signal: bool
    not_finite_share: float
    negative_share: float
    has_bad_background: bool
    empty_volumes: Int[np.ndarray, " k"]


@dataclass(frozen=True)
class MaskQuality:
    """Defects of a mask.

    Attributes
    ----------
    voxels
        Number of its voxels.
    hole_voxels
        Number of background voxels that it surrounds.
    detached_voxels
        Number of its voxels outside its largest piece.
    """

    voxels: int
    hole_voxels: int
    detached_voxels: int


def check_signal(dwi: Dwi, mask: Bool[np.ndarray, "x y z"] | None = None) -> SignalQuality:
    """Count bad values of a scan; without a mask, the head is where S0 is bright."""
    s0 = mean_b0(dwi)
    head = head_mask(s0) if mask is None else mask
    is_not_finite = ~np.isfinite(dwi.data)
    is_negative = dwi.data < 0
    return SignalQuality(
        has_signal=bool(np.any(s0 > 0)),
        not_finite_share=_true_share(is_not_finite[head]),
        negative_share=_true_share(is_negative[head]),
        has_bad_background=bool(is_not_finite[~head].any() or is_negative[~head].any()),
        empty_volumes=np.flatnonzero(~dwi.data.any(axis=(0, 1, 2))),
    )


def head_mask(s0: Float[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Voxels whose S0 is more than a tenth of that of tissue."""
    positive = s0[s0 > 0]
    if not positive.size:
        return np.zeros(s0.shape, bool)
    tissue_s0 = np.percentile(positive, TISSUE_S0_PERCENTILE)
    return np.asarray(s0 > MIN_S0_SHARE * tissue_s0)


def check_mask(mask: Bool[np.ndarray, "x y z"]) -> MaskQuality:
    """Count the holes and the separate pieces of a mask."""
    labels, _ = ndimage.label(mask)
    voxels = int(mask.sum())
    largest_piece = int(np.bincount(labels[mask]).max()) if voxels else 0
    holes = int((ndimage.binary_fill_holes(mask) & ~mask).sum())
    return MaskQuality(voxels, holes, voxels - largest_piece)


def _true_share(values: Bool[np.ndarray, "*shape"]) -> float:
    return float(values.mean()) if values.size else 0.0
