"""Regions of a brain in which values are averaged: tissues if known, else regions by FA and MD."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.evaluation.quantities import MIN_ORIENTED_FA
from bids_shresnet.scans import Tissue

MIN_WHITE_MATTER_FA = MIN_ORIENTED_FA  # from which a voxel is mostly white matter
MAX_TISSUE_MD = 1.2e-3  # mm2/s; MD of grey and white matter is 0.7e-3 to 0.9e-3, of CSF 3e-3
SEGMENTATION_REGIONS_NOTE = "Tissues are those of the segmentation that came with the scan."
TENSOR_REGIONS_NOTE = (
    "No segmentation came with the scan. The regions are FA above "
    f"{MIN_WHITE_MATTER_FA:g}, which is mostly white matter, and the rest with MD below "
    f"{MAX_TISSUE_MD * 1e3:g} x 10⁻³ mm²/s, mostly grey matter and the borders of both; by the "
    "mean of FA and MD before and after, so that noise of neither chooses the voxels."
)


@dataclass(frozen=True)
class Region:
    """Voxels with a name for readers."""

    name: str
    mask: Bool[np.ndarray, "x y z"]


def segmentation_regions(
    tissue: Int[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]
) -> tuple[Region, ...]:
    """White and grey matter inside a mask, from labels of `Tissue`."""
    return (
        Region("White matter", mask & (tissue == Tissue.WM)),
        Region("Grey matter", mask & (tissue == Tissue.GM)),
    )


def tensor_regions(
    fa: Float[np.ndarray, "x y z"], md: Float[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]
) -> tuple[Region, ...]:
    """Regions by FA and MD (mm2/s) alone; see `TENSOR_REGIONS_NOTE`.

    Voxels without a fitted tensor are in no region.
    """
    tissue = mask & (md > 0) & (md < MAX_TISSUE_MD)
    is_white = fa > MIN_WHITE_MATTER_FA
    low_md = f"MD < {MAX_TISSUE_MD * 1e3:g} x 10⁻³"
    return (
        Region(f"FA > {MIN_WHITE_MATTER_FA:g}", tissue & is_white),
        Region(f"FA ≤ {MIN_WHITE_MATTER_FA:g}, {low_md}", tissue & ~is_white),
    )
