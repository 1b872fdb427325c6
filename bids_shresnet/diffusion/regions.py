"""Regions of a brain in which numbers are summed up: tissues where these are known, else what FA and MD tell apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.scans import Tissue

TRACTS = 0.3  # FA from which a voxel is mostly white matter, as `comparison.ORIENTED`
WATER = 1.2e-3  # mm2/s; MD of grey and white matter is 0.7e-3 to 0.9e-3, of CSF 3e-3
BY_TISSUE = "Tissues are those of the segmentation that came with the scan."
BY_MAPS = (
    f"No segmentation came with the scan. The regions are FA above {TRACTS:g}, which is mostly white matter, and the "
    f"rest with MD below {WATER * 1e3:g} x 10⁻³ mm²/s, mostly grey matter and the borders of both; by the mean of "
    "FA and MD before and after, so that noise of neither chooses the voxels."
)


@dataclass(frozen=True)
class Region:
    """Voxels with a name for readers."""

    name: str
    mask: Bool[np.ndarray, "x y z"]


def of_tissue(tissue: Int[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]) -> tuple[Region, ...]:
    """White and grey matter inside a mask."""
    return (Region("White matter", mask & (tissue == Tissue.WM)), Region("Grey matter", mask & (tissue == Tissue.GM)))


def of_maps(
    fa: Float[np.ndarray, "x y z"], md: Float[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]
) -> tuple[Region, ...]:
    """Regions by FA and MD (mm2/s) alone, see `BY_MAPS`; where neither was fitted is in none."""
    tissue = mask & (md > 0) & (md < WATER)
    return (
        Region(f"FA > {TRACTS:g}", tissue & (fa > TRACTS)),
        Region(f"FA ≤ {TRACTS:g}, MD < {WATER * 1e3:g} x 10⁻³", tissue & (fa <= TRACTS)),
    )
