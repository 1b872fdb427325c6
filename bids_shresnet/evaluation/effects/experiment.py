"""Put known effects into a scan, harmonize it, and look for them.

The scan is harmonized twice, as measured and with the effect in it, by the same network and with
the same random numbers, so that any difference comes from the effect. What is found is compared
with what the maps show if the same effect is put into the harmonized scan, as if the target had
measured it. Voxels beside an effect should not change. Methods that keep the scan's noise show less
than all of an effect, because that change includes their noise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from bids_shresnet.diffusion.measurement_noise import draw_measurement
from bids_shresnet.diffusion.representation import Representation
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensor_changes import ApparentTensors, TensorChange, change_dwi
from bids_shresnet.evaluation.effects.known_effects import KnownEffect, ScanAnatomy
from bids_shresnet.evaluation.effects.rows import EffectRow
from bids_shresnet.evaluation.effects.true_tensors import estimate_true_tensors
from bids_shresnet.evaluation.quantities import tissue_masks
from bids_shresnet.evaluation.results import HeldOutRow
from bids_shresnet.inputs.load_scan import LoadedScan
from bids_shresnet.scans import Dwi

MAP_COLUMNS = {"FA": 0, "MD": 1}
MAX_VOXELS = 2000  # of one region and tissue: enough for a mean, and quick to harmonize
MARGIN_VOXELS = 3  # width of the unchanged region; a network sees a voxel's nearest neighbours
POINT_SPREAD_SIGMA_VOXELS = 0.75  # of the effects; 1.8 voxels at half of the height
MIN_CHANGED_STRENGTH = 0.5  # of the largest change; where it is larger, a voxel is "changed"
MAX_UNCHANGED_STRENGTH = 0.02  # where it is smaller, a voxel is "unchanged"
NOISE_QUANTILE = 0.95

Mask = Bool[np.ndarray, "x y z"]
Maps = Float[np.ndarray, "v 2"]  # FA and MD


@runtime_checkable
class Harmonize(Protocol):
    """Harmonizes the voxels of a mask."""

    def __call__(
        self,
        scan: LoadedScan,
        voxels: Mask,
        *,
        seed: int,
        changes: Sequence[TensorChange | None] = (None,),
    ) -> list[Mapping[str, Maps]]:
        """Return the maps of each kind in the voxels, in the order of `np.argwhere`.

        There is one result for each change that is put into the harmonized signal; None is none.
        """


@dataclass(frozen=True)
class PlacedEffect:
    """A scan with an effect in it, and the voxels by which the effect is judged.

    Attributes
    ----------
    regions
        Voxels of grey and white matter: "changed" where the effect is strong, "unchanged" beside.
    """

    effect: KnownEffect
    change: TensorChange
    dwi: Dwi
    regions: Mapping[str, Mask]


@dataclass(frozen=True)
class ChangedMaps:
    """Maps of one kind without and with an effect, and with more noise instead."""

    before: Maps
    after: Maps
    noisy: Maps

    def mean_change(self, rows: Bool[np.ndarray, " v"], column: int) -> float:
        """Relative change of the mean of some rows."""
        before = float(self.before[rows, column].mean())
        return float(self.after[rows, column].mean()) / before - 1

    def share_beyond_noise(self, rows: Bool[np.ndarray, " v"], column: int) -> float:
        """Share of some rows that change by more than noise alone lets 5 % of them change."""
        before = self.before[rows, column]
        limit = np.quantile(np.abs(self.noisy[rows, column] - before), NOISE_QUANTILE)
        return float((np.abs(self.after[rows, column] - before) > limit).mean())


@dataclass(frozen=True)
class EffectExperiment:
    """A scan that effects are put into.

    Attributes
    ----------
    row
        Subject, fold and method.
    scan, representation, anatomy
        The scan as measured.
    harmonize
        Harmonizes with the network that never saw the subject.
    """

    row: HeldOutRow
    scan: LoadedScan
    representation: Representation
    anatomy: ScanAnatomy
    harmonize: Harmonize
    seed: int

    def measure(self, effects: Iterable[KnownEffect]) -> Iterator[EffectRow]:
        """Yield one row per effect, kind of map, region, tissue and quantity."""
        placed = [self.place(effect) for effect in effects]
        voxels = np.any([mask for item in placed for mask in item.regions.values()], axis=0)
        if not voxels.any():
            return
        changes = [None, *(item.change for item in placed)]
        before, *changed = self.harmonize(self.scan, voxels, seed=self.seed, changes=changes)
        [noisy] = self.harmonize(self.add_noise(), voxels, seed=self.seed + 1)
        for item, wanted in zip(placed, changed, strict=True):
            changed_scan = replace(self.scan, dwi=item.dwi)
            [after] = self.harmonize(changed_scan, voxels, seed=self.seed)
            for maps in before:
                put_in = ChangedMaps(before[maps], wanted[maps], noisy[maps])
                found = ChangedMaps(before[maps], after[maps], noisy[maps])
                yield from self._compare(item, maps, voxels, put_in=put_in, found=found)

    def place(self, effect: KnownEffect) -> PlacedEffect:
        """Put an effect into the scan, and draw the voxels that it is judged by.

        It has no sharper edge than a scan can show: what is narrower than a point spread cannot be
        told from noise, and a target that is sharper than the source would rightly show more of it.
        """
        tensors = self._true_tensors
        change = effect.make_change(self.anatomy).blur(POINT_SPREAD_SIGMA_VOXELS)
        tensor_change = change.to_tensor_change(unmask(tensors[0].fa, self.scan.mask))
        is_changed = (change.strength > MIN_CHANGED_STRENGTH) & self.scan.mask
        neighbours = ndimage.generate_binary_structure(3, 3)
        near = ndimage.binary_dilation(is_changed, neighbours, iterations=MARGIN_VOXELS)
        is_unchanged = near & (change.strength < MAX_UNCHANGED_STRENGTH) & self.scan.mask
        regions = {"changed": is_changed, "unchanged": is_unchanged}
        return PlacedEffect(
            effect=effect,
            change=tensor_change,
            dwi=change_dwi(self.scan.dwi, self.scan.mask, tensor_change, tensors),
            regions={name: self._draw_voxels(mask) for name, mask in regions.items()},
        )

    @cached_property
    def _true_tensors(self) -> list[ApparentTensors]:
        """Tensors of the mask without most of their noise."""
        return estimate_true_tensors(self.scan, self.representation, self.anatomy.tissue)

    def add_noise(self) -> LoadedScan:
        """Add the noise that the scan already has once more; none where it is not known."""
        mask = self.scan.mask
        variance = np.nan_to_num(self.representation.noise_variance)
        deviation = np.sqrt(variance) * self.scan.s0[mask]
        rng = np.random.default_rng(self.seed)
        data = self.scan.dwi.data.copy()
        data[mask] = draw_measurement(data[mask], deviation, rng)
        return replace(self.scan, dwi=replace(self.scan.dwi, data=data))

    def _draw_voxels(self, region: Mask) -> Mask:
        """Draw at most `MAX_VOXELS` voxels of each tissue."""
        rng = np.random.default_rng(self.seed)
        drawn = np.zeros(region.size, dtype=bool)
        tissue = np.where(region, self.anatomy.tissue, 0).ravel()
        for _, mask in tissue_masks(tissue):
            drawn[rng.permutation(np.flatnonzero(mask))[:MAX_VOXELS]] = True
        return drawn.reshape(region.shape)

    def _compare(
        self,
        item: PlacedEffect,
        maps: str,
        voxels: Mask,
        *,
        put_in: ChangedMaps,
        found: ChangedMaps,
    ) -> Iterator[EffectRow]:
        """Yield one row per region, tissue and quantity."""
        quantities = item.effect.quantities
        for (region, mask), quantity in product(item.regions.items(), quantities):
            tissue = np.where(mask, self.anatomy.tissue, 0)[voxels]
            column = MAP_COLUMNS[quantity]
            for name, rows in tissue_masks(tissue):
                yield EffectRow(
                    **vars(self.row),
                    tissue=name,
                    quantity=quantity,
                    effect=item.effect.name,
                    maps=maps,
                    region=region,
                    voxels=int(rows.sum()),
                    put_in=put_in.mean_change(rows, column),
                    found=found.mean_change(rows, column),
                    beyond_noise=found.share_beyond_noise(rows, column),
                )
