from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jaxtyping import Float
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation

from bids_shresnet.diffusion.contrast import MAX_S0_RATIO, MIN_S0_RATIO, s0_contrast

GRID = (24, 26, 22)
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
OFFSETS_VOXELS = np.moveaxis(np.indices(GRID), 0, -1) - (np.array(GRID) - 1) / 2.0
MASK = np.linalg.norm(OFFSETS_VOXELS, axis=-1) < 10
TISSUE = gaussian_filter(np.random.default_rng(0).standard_normal(GRID), 1)
S0 = np.where(MASK, np.exp(TISSUE / TISSUE.std() / 5), 0.02)  # varies by 20 % between voxels


def test_a_brain_of_one_brightness_has_no_contrast_up_to_its_edge() -> None:
    np.testing.assert_allclose(s0_contrast(np.where(MASK, 700.0, 5.0), MASK, AFFINE), 0, atol=1e-5)


@given(gain=st.floats(1e-3, 1e6))
def test_a_gain_of_the_scanner_changes_nothing(gain: float) -> None:
    np.testing.assert_allclose(
        s0_contrast(gain * S0, MASK, AFFINE), s0_contrast(S0, MASK, AFFINE), atol=1e-4
    )


@pytest.mark.parametrize("along", [(1, 0, 0), (0.6, 0, 0.8)])
def test_a_smooth_receive_profile_changes_next_to_nothing(
    along: tuple[float, float, float],
) -> None:
    """Brightness that grows by half from one side of the brain to the other, 60 mm away."""
    profile = np.exp(np.log(1.5) * (OFFSETS_VOXELS @ np.array(along)) * 3 / 60)
    plain = s0_contrast(S0, MASK, AFFINE)
    shaded = s0_contrast(S0 * profile, MASK, AFFINE)
    centre = np.linalg.norm(OFFSETS_VOXELS, axis=-1) < 6
    assert np.abs(shaded - plain)[centre].max() < 0.04
    assert np.abs(shaded - plain)[MASK].std() < 0.4 * np.log(profile)[MASK].std()


def test_neighbours_differ_by_the_logarithm_of_their_brightness() -> None:
    """Their surroundings are the same, or nearly."""
    contrast = s0_contrast(S0, MASK, AFFINE)
    inner = MASK[1:] & MASK[:-1]
    difference = (np.diff(contrast, axis=0) - np.diff(np.log(S0), axis=0))[inner]
    assert np.abs(difference).max() < 0.03
    assert np.diff(np.log(S0), axis=0)[inner].std() > 0.1


def test_surroundings_are_millimetres_not_voxels() -> None:
    """A head of twice as many voxels of half the size looks the same."""
    fine = s0_contrast(twice(S0), twice(MASK), np.diag([1.5, 1.5, 1.5, 1]))
    coarse = s0_contrast(S0, MASK, AFFINE)
    np.testing.assert_allclose(fine[::2, ::2, ::2][MASK], coarse[MASK], atol=0.03)


def test_surroundings_are_round_on_an_oblique_grid_of_unequal_voxels() -> None:
    """The grid is rotated: voxel indices and their distances stay the same."""
    plain = np.diag([2.0, 3.0, 6.0, 1.0])
    oblique = np.eye(4)
    oblique[:3, :3] = Rotation.from_rotvec([0.5, -0.3, 0.8]).as_matrix() @ plain[:3, :3]
    contrast = s0_contrast(S0, MASK, plain)
    np.testing.assert_allclose(s0_contrast(S0, MASK, oblique), contrast, atol=1e-5)
    assert np.abs(contrast - s0_contrast(S0, MASK, AFFINE)).max() > 0.02


def twice(values: Float[np.ndarray, "x y z"]) -> Float[np.ndarray, "u v w"]:
    return np.asarray(values.repeat(2, 0).repeat(2, 1).repeat(2, 2))


def test_outside_the_mask_is_zero_and_its_signal_does_not_matter() -> None:
    contrast = s0_contrast(S0, MASK, AFFINE)
    np.testing.assert_array_equal(contrast[~MASK], 0)
    np.testing.assert_array_equal(s0_contrast(np.where(MASK, S0, 1e4), MASK, AFFINE), contrast)


@pytest.mark.parametrize("value", [0.0, -3.0, 1e9])
def test_a_voxel_without_measurable_s0_stays_in_range_and_changes_no_other(
    value: float,
) -> None:
    changed_s0 = S0.copy()
    changed_s0[12, 13, 11] = value
    contrast = s0_contrast(changed_s0, MASK, AFFINE)
    plain = s0_contrast(S0, MASK, AFFINE)
    assert np.isfinite(contrast).all()
    assert np.exp(contrast.min()) >= MIN_S0_RATIO * (1 - 1e-6)
    assert np.exp(contrast.max()) <= MAX_S0_RATIO * (1 + 1e-6)
    others = MASK.copy()
    others[12, 13, 11] = False
    assert np.abs(contrast - plain)[others].max() < 0.03


def test_csf_darkens_its_surroundings_no_more_than_tissue_of_one_and_a_half_times_s0() -> None:
    ventricle = np.linalg.norm(OFFSETS_VOXELS, axis=-1) < 4
    expected = s0_contrast(np.where(ventricle, 1.5, 1.0) * MASK, MASK, AFFINE)
    contrast = s0_contrast(np.where(ventricle, 4.0, 1.0) * MASK, MASK, AFFINE)
    np.testing.assert_allclose(contrast[MASK & ~ventricle], expected[MASK & ~ventricle], atol=1e-5)
    np.testing.assert_allclose(
        contrast[ventricle] - expected[ventricle], np.log(4 / 1.5), atol=1e-5
    )
    assert expected[MASK & ~ventricle].min() < -0.05


def test_no_brain_has_no_contrast() -> None:
    np.testing.assert_array_equal(s0_contrast(S0, np.zeros(GRID, bool), AFFINE), 0)
