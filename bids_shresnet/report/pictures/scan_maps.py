"""Everything that the pictures of a harmonized scan show, and the voxels to compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.evaluation.agreement import SCAN_STATES
from bids_shresnet.evaluation.quantities import angles
from bids_shresnet.evaluation.rish_power import TARGET_MEASUREMENT
from bids_shresnet.report.pictures.dwi_view import DwiView
from bids_shresnet.report.pictures.regions import MIN_WHITE_MATTER_FA, Region
from bids_shresnet.report.pictures.slices import SliceLayout
from bids_shresnet.scans import Shell

BEFORE, AFTER = SCAN_STATES
TARGET = TARGET_MEASUREMENT


@dataclass(frozen=True)
class ScanMaps:
    """A scan before and after harmonization and, if there is one, the target's scan.

    Attributes
    ----------
    fa, md
        Maps by `BEFORE`, `AFTER` and, if it was measured, `TARGET`; MD in mm2/s. Those of the
        target are NaN outside the voxels of the pictures.
    views
        Voxels of `layout.shown_mask` under the same names; the target's are those of `target_mask`.
    target_mask
        True for the voxels of `layout.shown_mask` that the target measured; None without a target.
    shells
        Shells of the source.
    method
        Key of the method that harmonized the scan.
    s0
        Mean b0 over its median in the brain.
    tissue
        Values of `Tissue` in this scan; None if they are not known.
    target_tissue
        Those of the target's scan in the voxels of `target_mask`; None if they are not known.
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
    s0: Float[np.ndarray, "x y z"]
    tissue: Int[np.ndarray, "x y z"] | None
    target_tissue: Int[np.ndarray, " w"] | None
    uncertainty: Float[np.ndarray, "x y z"] | None

    @property
    def signal_mask(self) -> Bool[np.ndarray, "x y z"]:
        """Voxels with signal, without the rim of background that a mask may hold."""
        return np.asarray(self.novelty > 0)

    def unmask_view(
        self, name: str, values: Float[np.ndarray, "v *n"]
    ) -> Float[np.ndarray, "x y z *n"]:
        """Values of a view's voxels as an image, NaN elsewhere."""
        mask = self.layout.shown_mask
        if name == TARGET and self.target_mask is not None:
            mask = unmask(self.target_mask, mask)
        return unmask(values, mask, fill=np.nan)


def paired_values(
    scan_maps: ScanMaps, maps: Mapping[str, Float[np.ndarray, "x y z"]]
) -> dict[str, dict[str, Float[np.ndarray, " v"]]]:
    """Values of a map to compare with the target's, by region and state.

    They are those of voxels in the pictures where all states have a fit. Empty regions are missing.
    """
    if TARGET not in maps:
        return {}
    has_fit = np.all([np.nan_to_num(values) > 0 for values in maps.values()], axis=0)
    shown_mask = scan_maps.layout.shown_mask & has_fit
    pairs = {}
    for region in scan_maps.regions:
        mask = region.mask & shown_mask
        if mask.any():
            pairs[region.name] = {state: values[mask] for state, values in maps.items()}
    return pairs


def rish_by_region(scan_maps: ScanMaps) -> dict[str, dict[str, Float[np.ndarray, "v o"]]]:
    """RISH of the voxels in the pictures that all states have, by region and state.

    Empty regions are missing.
    """
    powers = {}
    for region in scan_maps.regions:
        is_selected = region.mask[scan_maps.layout.shown_mask]
        if scan_maps.target_mask is not None:
            is_selected = is_selected & scan_maps.target_mask
        if is_selected.any():
            powers[region.name] = _select_power(scan_maps, is_selected)
    return powers


def _select_power(
    scan_maps: ScanMaps, is_selected: Bool[np.ndarray, " v"]
) -> dict[str, Float[np.ndarray, "w o"]]:
    power = {state: scan_maps.views[state].power[is_selected] for state in (BEFORE, AFTER)}
    if scan_maps.target_mask is not None:
        is_selected_target = is_selected[scan_maps.target_mask]
        power[TARGET] = scan_maps.views[TARGET].power[is_selected_target]
    return power


def tract_mask(scan_maps: ScanMaps) -> Bool[np.ndarray, " v"]:
    """Voxels in the pictures that have a distinct principal direction.

    It is the mean FA before and after that decides.
    """
    shown_mask = scan_maps.layout.shown_mask
    mean_fa = np.mean([scan_maps.fa[state][shown_mask] for state in (BEFORE, AFTER)], axis=0)
    return np.asarray((mean_fa > MIN_WHITE_MATTER_FA) & scan_maps.signal_mask[shown_mask])


def direction_change(scan_maps: ScanMaps) -> Float[np.ndarray, " v"]:
    """Angle between the principal directions before and after in `tract_mask`, in degrees."""
    tracts = tract_mask(scan_maps)
    before = scan_maps.views[BEFORE].tensor.direction[tracts]
    after = scan_maps.views[AFTER].tensor.direction[tracts]
    return angles(before, after)
