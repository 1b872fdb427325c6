"""What is wrong with the values of a scan or a mask: counted, not mended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from bids_shresnet.diffusion.attenuation import FLOOR, mean_b0
from bids_shresnet.scans import Dwi

BRIGHT = 98  # percentile of S0 that stands for tissue: fluid is brighter, but smaller


@dataclass(frozen=True)
class Values:
    """Of a scan.

    Attributes
    ----------
    signal
        Whether S0 is positive anywhere.
    not_finite, negative
        Share of the values inside the head that are NaN or infinite, or below zero.
    outside
        Whether there are such values outside the head.
    empty
        Volumes that are zero everywhere.
    """

    signal: bool
    not_finite: float
    negative: float
    outside: bool
    empty: Int[np.ndarray, " k"]


@dataclass(frozen=True)
class MaskShape:
    """Voxels of a mask, of its holes (background that it surrounds) and of what is apart from its largest piece."""

    voxels: int
    holes: int
    apart: int


def inspect(dwi: Dwi, mask: Bool[np.ndarray, "x y z"] | None = None) -> Values:
    """Count what is wrong with a scan's values; without a mask, the head is where S0 is bright."""
    s0 = mean_b0(dwi)
    head = bright(s0) if mask is None else mask
    broken, negative = ~np.isfinite(dwi.data), dwi.data < 0
    return Values(
        signal=bool(np.any(s0 > 0)),
        not_finite=_share(broken[head]),
        negative=_share(negative[head]),
        outside=bool(broken[~head].any() or negative[~head].any()),
        empty=np.flatnonzero(~dwi.data.any(axis=(0, 1, 2))),
    )


def bright(s0: Float[np.ndarray, "x y z"]) -> Bool[np.ndarray, "x y z"]:
    """Where S0 is a tenth of what tissue has, and more."""
    positive = s0[s0 > 0]
    return np.asarray(s0 > FLOOR * np.percentile(positive, BRIGHT)) if positive.size else np.zeros(s0.shape, bool)


def mask_shape(mask: Bool[np.ndarray, "x y z"]) -> MaskShape:
    """Count holes and separate pieces of a mask."""
    labels, _ = ndimage.label(mask)
    voxels = int(mask.sum())
    largest = int(np.bincount(labels[mask]).max()) if voxels else 0
    holes = int((ndimage.binary_fill_holes(mask) & ~mask).sum())
    return MaskShape(voxels, holes, voxels - largest)


def _share(wrong: Bool[np.ndarray, "*shape"]) -> float:
    return float(wrong.mean()) if wrong.size else 0.0
