from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from bids_shresnet.evaluation.effects.known_effects import (
    AGE_FA_FACTOR,
    KNOWN_EFFECTS,
    KnownEffect,
    ScanAnatomy,
    add_oedema,
    age_brain,
    label_voxels,
    lower_tract_fa,
    raise_white_matter_md,
)
from bids_shresnet.scans import Tissue
from tests.evaluation.tensor_heads import (
    SIDE,
    TENSORS,
    VOXEL_MM,
    head_anatomy,
    head_scan,
    tissue_labels,
)


def anatomy() -> ScanAnatomy:
    return head_anatomy(head_scan())


def test_a_tract_is_the_white_matter_that_runs_from_left_to_right() -> None:
    known = anatomy()
    known.direction[: SIDE // 3] = [0, 0, 1]
    change = lower_tract_fa(known)
    expected = tissue_labels() == Tissue.WM
    expected[: SIDE // 3] = False
    is_inside = ndimage.binary_erosion(expected, iterations=2)
    is_outside = ~ndimage.binary_dilation(expected)
    assert (change.strength > 0)[is_inside].all()
    assert not (change.strength > 0)[is_outside].any()
    np.testing.assert_array_equal(change.md_factor, 1)


def test_noise_makes_no_holes_in_a_tract() -> None:
    known = anatomy()
    is_noisy = np.random.default_rng(0).uniform(size=known.fa.shape) < 0.1
    known.direction[is_noisy] = [0, 0, 1]
    change = lower_tract_fa(known)
    inside = ndimage.binary_erosion(tissue_labels() == Tissue.WM, iterations=2)
    assert (change.strength > 0)[inside].mean() > 0.98


def test_of_two_tracts_the_larger_one_changes() -> None:
    known = anatomy()
    known.direction[SIDE // 3 : SIDE // 3 + 3] = [0, 0, 1]
    change = lower_tract_fa(known)
    assert not (change.strength > 0)[: SIDE // 3].any()
    assert (change.strength > 0)[SIDE // 3 + 3 :].any()


def test_white_matter_changes_in_md_alone() -> None:
    change = raise_white_matter_md(anatomy())
    np.testing.assert_array_equal(change.strength > 0, tissue_labels() == Tissue.WM)
    np.testing.assert_array_equal(change.fa_factor, 1)


def test_age_changes_nothing_at_the_bottom_and_most_at_the_top() -> None:
    matter = tissue_labels() > 0
    change = age_brain(anatomy())
    lowest, *_, highest = np.flatnonzero(matter.any(axis=(0, 1)))
    np.testing.assert_allclose(change.fa_factor[..., lowest], 1)
    np.testing.assert_allclose(change.fa_factor[..., highest], AGE_FA_FACTOR)
    factors = change.fa_factor[0, 0, lowest : highest + 1]
    np.testing.assert_allclose(np.diff(factors, n=2), 0, atol=1e-12)
    expected = np.broadcast_to(change.fa_factor[:1, :1], change.fa_factor.shape)
    np.testing.assert_array_equal(change.fa_factor, expected)


def test_an_oedema_is_a_ball_in_the_middle_of_white_matter() -> None:
    change = add_oedema(anatomy())
    voxels = np.argwhere(change.strength > 0)
    np.testing.assert_allclose(voxels.mean(axis=0), (SIDE - 1) / 2, atol=1)
    volume = 4 / 3 * np.pi * 10**3
    assert len(voxels) * VOXEL_MM**3 == pytest.approx(volume, rel=0.1)


@pytest.mark.parametrize("effect", KNOWN_EFFECTS, ids=[effect.name for effect in KNOWN_EFFECTS])
def test_a_scan_without_grey_and_white_matter_does_not_change(effect: KnownEffect) -> None:
    known = anatomy()
    change = effect.make_change(replace(known, tissue=np.zeros_like(known.tissue)))
    assert not (change.strength > 0).any()


def test_a_voxel_has_the_tissue_of_the_point_in_it_and_none_without_a_point() -> None:
    scan = head_scan()
    voxels = np.argwhere(scan.mask)
    has_point = np.arange(len(voxels)) % 2 == 0
    tissue = tissue_labels()[scan.mask]
    points = voxels * VOXEL_MM + np.array([0.4, -0.4, 0.2])
    labels = label_voxels(points[has_point], tissue[has_point], scan.mask, scan.dwi.affine)
    np.testing.assert_array_equal(labels[scan.mask], np.where(has_point, tissue, 0))
    np.testing.assert_array_equal(labels[~scan.mask], 0)


def test_the_tract_of_the_test_head_runs_from_left_to_right() -> None:
    assert np.argmax(np.diag(TENSORS[Tissue.WM])) == 0
