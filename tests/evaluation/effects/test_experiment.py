from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Bool, Float
from scipy import ndimage

from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensor_changes import TensorChange, change_dwi
from bids_shresnet.evaluation.effects.experiment import NOISE_QUANTILE, Harmonize
from bids_shresnet.evaluation.effects.known_effects import KNOWN_EFFECTS
from bids_shresnet.evaluation.effects.rows import EffectRow
from bids_shresnet.inputs.load_scan import LoadedScan
from tests.evaluation.tensor_heads import experiment, head_scan, own_maps

Mask = Bool[np.ndarray, "x y z"]
MapValues = Mapping[str, Float[np.ndarray, "v 2"]]
ASKED_CHANGES = {
    ("tract", "FA"): -0.05,
    ("white_matter", "MD"): 0.03,
    ("oedema", "MD"): 0.4,
    ("oedema", "FA"): -0.3,
}


def for_all_changes(
    harmonize: Callable[[LoadedScan, Mask, TensorChange | None], MapValues],
) -> Harmonize:
    def harmonize_all(
        scan: LoadedScan,
        voxels: Mask,
        *,
        seed: int,
        changes: Sequence[TensorChange | None] = (None,),
    ) -> list[MapValues]:
        return [harmonize(scan, voxels, change) for change in changes]

    return harmonize_all


def put_in(scan: LoadedScan, change: TensorChange | None) -> LoadedScan:
    """What the target measures if the effect is in it."""
    if change is None:
        return scan
    return replace(scan, dwi=change_dwi(scan.dwi, scan.mask, change))


@for_all_changes
def keep_scan(scan: LoadedScan, voxels: Mask, change: TensorChange | None) -> MapValues:
    """A target scanner that measures the same."""
    return {"comparable": own_maps(put_in(scan, change), voxels)}


@for_all_changes
def scale_maps(scan: LoadedScan, voxels: Mask, change: TensorChange | None) -> MapValues:
    """A target scanner with another FA and MD."""
    return {"comparable": own_maps(put_in(scan, change), voxels) * [1.3, 0.9]}


@for_all_changes
def ignore_scan(scan: LoadedScan, voxels: Mask, change: TensorChange | None) -> MapValues:
    """The same maps whatever the scan shows."""
    return {"comparable": own_maps(put_in(head_scan(), change), voxels)}


@for_all_changes
def keep_half(scan: LoadedScan, voxels: Mask, change: TensorChange | None) -> MapValues:
    """Half of what the scan shows, half of what heads usually show."""
    usual = own_maps(put_in(head_scan(sigma=0.01), change), voxels)
    return {"comparable": (own_maps(put_in(scan, change), voxels) + usual) / 2}


@for_all_changes
def blur_scan(scan: LoadedScan, voxels: Mask, change: TensorChange | None) -> MapValues:
    """Maps that are means over a voxel and its neighbours."""
    maps = unmask(own_maps(scan, scan.mask), scan.mask)
    blurred = ndimage.uniform_filter(maps, (3, 3, 3, 1))
    if change is not None:
        blurred *= np.stack([change.anisotropy_factor, change.md_factor], axis=-1)
    return {"comparable": blurred[voxels]}


def rows_of(harmonize: Harmonize, region: str = "changed") -> list[EffectRow]:
    """Rows of a scan of little noise, which no effect changes but these methods keep."""
    rows = experiment(harmonize, sigma=0.01).measure(KNOWN_EFFECTS)
    return [row for row in rows if row.region == region]


@pytest.mark.slow
@pytest.mark.parametrize("endpoint", ASKED_CHANGES)
def test_the_change_put_in_is_the_one_asked_for_but_for_blurred_edges(
    endpoint: tuple[str, str],
) -> None:
    rows = rows_of(keep_scan)
    found = {(row.effect, row.quantity): row.put_in for row in rows if row.tissue == "WM"}
    assert 0.8 < found[endpoint] / ASKED_CHANGES[endpoint] < 1


@pytest.mark.slow
def test_every_effect_is_looked_for_in_what_it_changes() -> None:
    endpoints = {(row.effect, row.tissue, row.quantity) for row in rows_of(keep_scan)}
    assert endpoints >= {
        ("tract", "WM", "FA"),
        ("white_matter", "WM", "MD"),
        ("age", "WM", "FA"),
        ("age", "GM", "FA"),
        ("age", "WM", "MD"),
        ("age", "GM", "MD"),
        ("oedema", "WM", "FA"),
        ("oedema", "WM", "MD"),
    }
    assert ("tract", "WM", "MD") not in endpoints


@pytest.mark.slow
@pytest.mark.parametrize(
    ("harmonize", "share"), [(keep_scan, 1.0), (scale_maps, 1.0), (ignore_scan, 0.0)]
)
def test_what_a_scanner_keeps_or_scales_is_found_and_what_it_ignores_is_not(
    harmonize: Harmonize, share: float
) -> None:
    for row in rows_of(harmonize):
        assert row.recovered == pytest.approx(share, abs=0.1)


@pytest.mark.slow
def test_half_of_an_effect_is_found_if_the_prediction_is_half_the_usual_head() -> None:
    for row in rows_of(keep_half):
        assert row.recovered == pytest.approx(0.5, abs=0.05)


@pytest.mark.slow
def test_beside_an_effect_nothing_changes_unless_voxels_are_mixed() -> None:
    kept = rows_of(keep_scan, "unchanged")
    assert kept
    assert all(abs(row.put_in) < 0.01 for row in kept)
    assert all(abs(row.found) < abs(row.put_in) + 1e-6 for row in kept)
    blurred = [row for row in rows_of(blur_scan, "unchanged") if row.effect == "oedema"]
    assert all(abs(row.found) > 2 * abs(row.put_in) for row in blurred)
    inside = [row for row in rows_of(blur_scan) if row.effect == "white_matter"]
    assert inside[0].recovered < 1


def test_noise_alone_changes_five_percent_of_voxels_beyond_its_limit() -> None:
    """The effect is nothing but noise of the same size."""
    test = experiment(keep_scan)
    before = own_maps(test.scan, test.scan.mask)[:, 1]
    changes = []
    for seed in (1, 2):
        noisy = replace(test, seed=seed).add_noise()
        changes.append(np.abs(own_maps(noisy, test.scan.mask)[:, 1] - before))
    limit = np.quantile(changes[0], NOISE_QUANTILE)
    assert (changes[1] > limit).mean() == pytest.approx(0.05, abs=0.015)


def test_the_noise_added_is_as_large_as_that_of_the_scan() -> None:
    test = experiment(keep_scan, sigma=0.03)
    interior = ndimage.binary_erosion(test.scan.mask, iterations=2)
    added = (test.add_noise().dwi.data - test.scan.dwi.data)[interior]
    assert added[:, 1:].std() / 1000 == pytest.approx(0.03, rel=0.1)
