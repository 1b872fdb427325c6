"""Regions of a brain in which values are averaged and compared: its tissues."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int

from bids_shresnet.evaluation.quantities import MIN_ORIENTED_FA
from bids_shresnet.scans import Tissue

MIN_WHITE_MATTER_FA = MIN_ORIENTED_FA  # from which a voxel is mostly white matter
OWN_TISSUE_NOTE = "Tissues are those of this scan (desc-tissue_dseg)."
TARGET_TISSUE_NOTE = (
    "Tissues are those of the target's scan (desc-tissue_dseg), so that neither the input nor the "
    "harmonized scan chooses the voxels."
)
NO_TISSUE_NOTE = "The tissues of this scan are not known, so no means are shown."


@dataclass(frozen=True)
class Region:
    """Voxels with a name for readers."""

    name: str
    mask: Bool[np.ndarray, "x y z"]


def tissue_regions(
    tissue: Int[np.ndarray, "x y z"], mask: Bool[np.ndarray, "x y z"]
) -> tuple[Region, ...]:
    """White and grey matter inside a mask, from labels of `Tissue`."""
    return (
        Region("White matter", mask & (tissue == Tissue.WM)),
        Region("Grey matter", mask & (tissue == Tissue.GM)),
    )
