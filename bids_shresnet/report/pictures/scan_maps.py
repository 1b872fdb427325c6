"""What pictures of a harmonized scan are made of: the scan before and after, the target's, and voxels to count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.regions import TRACTS, Region
from bids_shresnet.diffusion.representation import in_mask
from bids_shresnet.diffusion.views import View
from bids_shresnet.evaluation.agreement import MEASURED, STATES
from bids_shresnet.evaluation.comparison import angles
from bids_shresnet.report.pictures.slices import Cut
from bids_shresnet.scans import Shell

BEFORE, AFTER = STATES
TARGET = MEASURED


@dataclass(frozen=True)
class Pictured:
    """What is to be shown of a scan.

    Attributes
    ----------
    fa, md
        By "before", "after" and, where it was measured, "target"; MD in mm2/s. The target's are NaN where it is not
        looked up.
    views
        The voxels of `cut.seen` under the same names; of the target those of `known`.
    known
        Which voxels of `cut.seen` the target measured; None without a target.
    shells
        Of the source.
    method
        What it was harmonized with.
    """

    cut: Cut
    fa: Mapping[str, Float[np.ndarray, "x y z"]]
    md: Mapping[str, Float[np.ndarray, "x y z"]]
    views: Mapping[str, View]
    known: Bool[np.ndarray, " v"] | None
    shells: tuple[Shell, ...]
    method: str
    regions: tuple[Region, ...]
    novelty: Float[np.ndarray, "x y z"]
    uncertainty: Float[np.ndarray, "x y z"] | None

    @property
    def judged(self) -> Bool[np.ndarray, "x y z"]:
        """Where there is signal to speak of: not in the rim of background that a mask holds."""
        return np.asarray(self.novelty > 0)

    def volume(self, name: str, values: Float[np.ndarray, "v *n"]) -> Float[np.ndarray, "x y z *n"]:
        """Values of a view's voxels as an image, NaN elsewhere."""
        if name == TARGET and self.known is not None:
            return placed(values, in_mask(self.known, self.cut.seen))
        return placed(values, self.cut.seen)


def placed(values: Float[np.ndarray, "v *n"], where: Bool[np.ndarray, "x y z"]) -> Float[np.ndarray, "x y z *n"]:
    """Values of some voxels as an image, NaN elsewhere."""
    image = np.full((*where.shape, *values.shape[1:]), np.nan, dtype=np.float32)
    image[where] = values
    return image


def compared(
    shown: Pictured, maps: Mapping[str, Float[np.ndarray, "x y z"]]
) -> dict[str, dict[str, Float[np.ndarray, " v"]]]:
    """Values of voxels that the pictures show and where all scans have a fit, by region and scan; no empty region."""
    if TARGET not in maps:
        return {}
    there = shown.cut.seen & np.all([np.nan_to_num(one) > 0 for one in maps.values()], axis=0)
    where = {region.name: region.mask & there for region in shown.regions}
    return {
        region: {name: values[mask] for name, values in maps.items()} for region, mask in where.items() if mask.any()
    }


def powers(shown: Pictured) -> dict[str, dict[str, Float[np.ndarray, "v o"]]]:
    """RISH of voxels that the pictures show and that all scans have, by region and scan; no empty region."""
    found = {}
    for region in shown.regions:
        inside = region.mask[shown.cut.seen]
        if shown.known is not None:
            inside = inside & shown.known
        if inside.any():
            found[region.name] = {name: view.power[inside] for name, view in shown.views.items() if name != TARGET}
            if shown.known is not None:
                found[region.name][TARGET] = shown.views[TARGET].power[inside[shown.known]]
    return found


def in_tracts(shown: Pictured) -> Bool[np.ndarray, " v"]:
    """Voxels of the pictures that have one principal direction to speak of, by the mean FA before and after."""
    mean = np.mean([shown.fa[name][shown.cut.seen] for name in (BEFORE, AFTER)], axis=0)
    return np.asarray((mean > TRACTS) & shown.judged[shown.cut.seen])


def turned(shown: Pictured) -> Float[np.ndarray, " v"]:
    """Angle between their principal directions before and after, degrees."""
    before, after = (shown.views[name].tensor.direction[in_tracts(shown)] for name in (BEFORE, AFTER))
    return angles(before, after)
