"""What pictures of a harmonized scan are made of: the scan before and after, the target's, and voxels to count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.regions import MIN_WHITE_MATTER_FA, Region
from bids_shresnet.diffusion.representation import unmask
from bids_shresnet.diffusion.views import DwiView
from bids_shresnet.evaluation.agreement import SCAN_STATES, TARGET_MEASUREMENT
from bids_shresnet.evaluation.quantities import angles
from bids_shresnet.report.pictures.slices import SliceLayout
from bids_shresnet.scans import Shell

BEFORE, AFTER = SCAN_STATES
TARGET = TARGET_MEASUREMENT


@dataclass(frozen=True)
class ScanMaps:
    """What is to be shown of a scan.

    Attributes
    ----------
    fa, md
        By "before", "after" and, where it was measured, "target"; MD in mm2/s. The target's are NaN where it is not
        looked up.
    views
        The voxels of `cut.seen` under the same names; of the target those of `known`.
    target_mask
        Which voxels of `cut.seen` the target measured; None without a target.
    shells
        Of the source.
    method
        What it was harmonized with.
    """

    layout: SliceLayout
    fa: Mapping[str, Float[np.ndarray, "x y z"]]
    md: Mapping[str, Float[np.ndarray, "x y z"]]
    views: Mapping[str, DwiView]
    target_mask: Bool[np.ndarray, " v"] | None
    shells: tuple[Shell, ...]
    method: str
    regions: tuple[Region, ...]
    novelty: Float[np.ndarray, "x y z"]
    uncertainty: Float[np.ndarray, "x y z"] | None

    @property
    def signal_mask(self) -> Bool[np.ndarray, "x y z"]:
        """Where there is signal to speak of: not in the rim of background that a mask holds."""
        return np.asarray(self.novelty > 0)

    def unmask_view(
        self, name: str, values: Float[np.ndarray, "v *n"]
    ) -> Float[np.ndarray, "x y z *n"]:
        """Values of a view's voxels as an image, NaN elsewhere."""
        if name == TARGET and self.target_mask is not None:
            return unmask_with_nan(values, unmask(self.target_mask, self.layout.shown_mask))
        return unmask_with_nan(values, self.layout.shown_mask)


def unmask_with_nan(
    values: Float[np.ndarray, "v *n"], mask: Bool[np.ndarray, "x y z"]
) -> Float[np.ndarray, "x y z *n"]:
    """Values of some voxels as an image, NaN elsewhere."""
    image = np.full((*mask.shape, *values.shape[1:]), np.nan, dtype=np.float32)
    image[mask] = values
    return image


def paired_values(
    shown: ScanMaps, maps: Mapping[str, Float[np.ndarray, "x y z"]]
) -> dict[str, dict[str, Float[np.ndarray, " v"]]]:
    """Values of voxels that the pictures show and where all scans have a fit, by region and scan; no empty region."""
    if TARGET not in maps:
        return {}
    there = shown.layout.shown_mask & np.all(
        [np.nan_to_num(one) > 0 for one in maps.values()], axis=0
    )
    where = {region.name: region.mask & there for region in shown.regions}
    return {
        region: {name: values[mask] for name, values in maps.items()}
        for region, mask in where.items()
        if mask.any()
    }


def rish_by_region(shown: ScanMaps) -> dict[str, dict[str, Float[np.ndarray, "v o"]]]:
    """RISH of voxels that the pictures show and that all scans have, by region and scan; no empty region."""
    found = {}
    for region in shown.regions:
        inside = region.mask[shown.layout.shown_mask]
        if shown.target_mask is not None:
            inside = inside & shown.target_mask
        if inside.any():
            found[region.name] = {
                name: view.power[inside] for name, view in shown.views.items() if name != TARGET
            }
            if shown.target_mask is not None:
                found[region.name][TARGET] = shown.views[TARGET].power[inside[shown.target_mask]]
    return found


def tract_mask(shown: ScanMaps) -> Bool[np.ndarray, " v"]:
    """Voxels of the pictures that have one principal direction to speak of, by the mean FA before and after."""
    mean = np.mean([shown.fa[name][shown.layout.shown_mask] for name in (BEFORE, AFTER)], axis=0)
    return np.asarray((mean > MIN_WHITE_MATTER_FA) & shown.signal_mask[shown.layout.shown_mask])


def direction_change(shown: ScanMaps) -> Float[np.ndarray, " v"]:
    """Angle between their principal directions before and after, degrees."""
    before, after = (
        shown.views[name].tensor.direction[tract_mask(shown)] for name in (BEFORE, AFTER)
    )
    return angles(before, after)
