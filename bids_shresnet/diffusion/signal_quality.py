"""What is wrong with the values of a scan or a mask: counted, not mended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from bids_shresnet.diffusion.attenuation import MIN_S0_SHARE, mean_b0
from bids_shresnet.scans import Dwi

TISSUE_S0_PERCENTILE = 98  # percentile of S0 that stands for tissue: fluid is brighter, but smaller


@dataclass(frozen=True)
class SignalQuality:
    """Of a scan.

    Attributes
    ----------
    has_signal
        Whether S0 is positive anywhere.
    not_finite_share, negative_share
        Share of the values inside the head that are NaN or infinite, or below zero.
    has_bad_background
        Whether there are such values outside the head.
    empty_volumes
        Volumes that are zero everywhere.
    """

    has_signal: bool
    not_finite_share: float
    negative_share: float
    has_bad_background: bool
    empty_volumes: Int[np.ndarray, " k"]


@dataclass(frozen=True)
class MaskQuality:
    """Voxels of a mask, of its holes (background that it surrounds) and of what is apart from its largest piece."""

    voxels: int
    hole_voxels: int
    detached_voxels: int


def check_signal(dwi: Dwi, mask: Bool[np.ndarray, "x y z"] | None = None) -> SignalQuality:
    """Count what is wrong with a scan's values; without a mask, the head is where S0 is bright."""
    s0 = mean_b0(dwi)
    head = head_mask(s0) if mask is None else mask
    broken, negative = ~np.isfinite(dwi.data), dwi.data < 0
    return SignalQuality(
        has_signal=bool(np.any(s0 > 0)),
        not_finite_share=_share(broken[head]),
        negative_share=_share(negative[head]),
        has_bad_background=bool(broken[~head].any() or negative[~head].any()),
        empty_volumes=np.flatnonzero(~dwi.data.any(axis=(0, 1, 2))),
    )


def head_mask(s0: Float[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Where S0 is a tenth of what tissue has, and more."""
    positive = s0[s0 > 0]
    return (
        np.asarray(s0 > MIN_S0_SHARE * np.percentile(positive, TISSUE_S0_PERCENTILE))
        if positive.size
        else np.zeros(s0.shape, bool)
    )


def check_mask(mask: Bool[np.ndarray, "x y z"]) -> MaskQuality:
    """Count holes and separate pieces of a mask."""
    labels, _ = ndimage.label(mask)
    voxels = int(mask.sum())
    largest = int(np.bincount(labels[mask]).max()) if voxels else 0
    holes = int((ndimage.binary_fill_holes(mask) & ~mask).sum())
    return MaskQuality(voxels, holes, voxels - largest)


def _share(wrong: Bool[np.ndarray, "*shape"]) -> float:
    return float(wrong.mean()) if wrong.size else 0.0
