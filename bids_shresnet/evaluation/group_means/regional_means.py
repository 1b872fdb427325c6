"""Means of FA and MD in the regions of the input's parcellation, of one held-out subject."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer

from bids_shresnet.evaluation.results import MAP_QUANTITIES, HeldOutRow

MIN_REGION_VOXELS = 20  # a region with fewer matched voxels is not evaluated


@dataclass(frozen=True)
class RegionalMean(HeldOutRow):
    """Means over the voxels of a region.

    Attributes
    ----------
    region
        Its name in the table of the parcellation.
    quantity
        FA or MD.
    voxels
        Number of the target's voxels in grey and white matter that both scanners measured.
    mean, target_mean
        As predicted, and as the target measured it: FA without unit, MD in mm2/s.
    """

    region: str
    quantity: str
    voxels: int
    mean: float
    target_mean: float


def regional_means(
    row: HeldOutRow,
    regions: Integer[np.ndarray, " v"],
    names: Mapping[int, str],
    measured: Mapping[str, Float[np.ndarray, "v *d"]],
    predicted: Mapping[str, Float[np.ndarray, "v *d"]],
) -> Iterator[RegionalMean]:
    """Yield one row per region with enough voxels, and per map.

    Parameters
    ----------
    regions, names
        Label of each voxel, and the name of each label; others are in no region.
    measured, predicted
        Values of the voxels by quantity.
    """
    for label, name in names.items():
        mask = regions == label
        voxels = int(mask.sum())
        for quantity in MAP_QUANTITIES:
            if quantity in predicted and voxels >= MIN_REGION_VOXELS:
                yield RegionalMean(
                    subject=row.subject,
                    fold=row.fold,
                    method=row.method,
                    region=name,
                    quantity=quantity,
                    voxels=voxels,
                    mean=float(predicted[quantity][mask].mean()),
                    target_mean=float(measured[quantity][mask].mean()),
                )
