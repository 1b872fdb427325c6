from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import Float

from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.diffusion.tensor_changes import (
    MAX_FA,
    ApparentTensors,
    MapChange,
    TensorChange,
    change_dwi,
    change_tensors,
    denoise_tensors,
    fit_scan_tensors,
)
from bids_shresnet.diffusion.tensors import TensorMaps, fit_tensor_maps
from bids_shresnet.scans import Dwi
from tests.diffusion.heads import make_dwi, sphere, turn

GRID = (3, 2, 2)
EVERYWHERE = np.ones(GRID, bool)
FACTORS = st.floats(0.3, 1.1)
DIRECTIONS = sphere(30)


def scan(bvals: tuple[float, ...] = (1000.0,), *, sigma: float = 0.0) -> Dwi:
    """Scan of a different tensor in every voxel, with noise relative to S0."""
    rng = np.random.default_rng(1)
    relative = np.empty((*GRID, len(bvals) * len(DIRECTIONS)))
    for voxel in np.ndindex(GRID):
        axes = turn(*rng.uniform(-180, 180, 3))
        tensor = axes @ np.diag(rng.uniform(0.2e-3, 1.6e-3, 3)) @ axes.T
        exponents = np.einsum("ni,ij,nj->n", DIRECTIONS, tensor, DIRECTIONS)
        relative[voxel] = np.concatenate([np.exp(-b * exponents) for b in bvals])
    noisy = relative + sigma * rng.standard_normal(relative.shape)
    all_bvals = np.repeat(bvals, len(DIRECTIONS))
    return make_dwi(noisy, all_bvals, np.tile(DIRECTIONS, (len(bvals), 1)))


def fit_shells(dwi: Dwi, volumes: slice) -> TensorMaps:
    """Fit b0 and some volumes. b = 3000 is called 1500, which a tensor takes, and doubles MD."""
    chosen = np.r_[0, np.arange(len(dwi.bvals))[volumes]]
    bvals = np.minimum(dwi.bvals[chosen], 1500.0)
    part = Dwi(dwi.data[..., chosen], dwi.affine, bvals, dwi.bvecs[chosen])
    return fit_tensor_maps(part, EVERYWHERE)


def constant_change(fa: float, md: float, dwi: Dwi) -> TensorChange:
    """Change of FA and MD of the tensors that the low shells of a scan have."""
    change = MapChange(np.full(GRID, fa), np.full(GRID, md))
    return change.to_tensor_change(fit_tensor_maps(dwi, EVERYWHERE).fa)


def order_2_lengths(dwi: Dwi) -> Float[np.ndarray, "x y z"]:
    """Lengths of the coefficients of order 2 of the first shell."""
    weighted = dwi.data[..., ~dwi.is_b0] / dwi.data[..., :1]
    coefficients = weighted @ np.linalg.pinv(basis(DIRECTIONS, 4)).T
    return np.asarray(np.linalg.norm(coefficients[..., 1:6], axis=-1))


@settings(max_examples=25)
@given(FACTORS, FACTORS)
def test_the_tensor_of_a_changed_scan_has_the_fa_and_the_md_asked_for(fa: float, md: float) -> None:
    before = scan()
    maps = fit_tensor_maps(before, EVERYWHERE)
    changed = fit_tensor_maps(
        change_dwi(before, EVERYWHERE, constant_change(fa, md, before)), EVERYWHERE
    )
    np.testing.assert_allclose(changed.fa, fa * maps.fa, rtol=1e-3)
    np.testing.assert_allclose(changed.md, md * maps.md, rtol=1e-3)


def test_noise_does_not_alter_the_mean_change() -> None:
    before = scan(sigma=0.03)
    maps = fit_tensor_maps(before, EVERYWHERE)
    changed = fit_tensor_maps(
        change_dwi(before, EVERYWHERE, constant_change(0.95, 1.03, before)), EVERYWHERE
    )
    assert changed.fa.mean() / maps.fa.mean() - 1 == pytest.approx(-0.05, abs=0.003)
    assert changed.md.mean() / maps.md.mean() - 1 == pytest.approx(0.03, abs=0.001)


def test_every_shell_changes_as_its_b_value_asks_for() -> None:
    before = scan((1000.0, 2000.0))
    after = change_dwi(before, EVERYWHERE, constant_change(0.9, 1.2, before))
    factors = np.log(after.data / before.data)
    np.testing.assert_array_equal(factors[..., 0], 0)  # b0
    np.testing.assert_allclose(factors[..., 31:], 2 * factors[..., 1:31], rtol=1e-3)


def test_the_tensor_changed_is_that_of_the_shells_that_fa_and_md_rest_on() -> None:
    plain = scan((1000.0, 2500.0))
    data = plain.data.copy()
    data[..., 31:] *= 1.5  # as kurtosis would
    before = replace(plain, data=data)
    maps = fit_tensor_maps(before, EVERYWHERE)
    changed = fit_tensor_maps(
        change_dwi(before, EVERYWHERE, constant_change(0.9, 1.1, before)), EVERYWHERE
    )
    np.testing.assert_allclose(changed.fa, 0.9 * maps.fa, rtol=1e-3)
    np.testing.assert_allclose(changed.md, 1.1 * maps.md, rtol=1e-3)


def test_a_change_and_its_inverse_leave_the_scan_as_it_was() -> None:
    before = scan()
    there = change_dwi(before, EVERYWHERE, constant_change(0.8, 1.25, before))
    back = change_dwi(there, EVERYWHERE, constant_change(1.25, 0.8, there))
    np.testing.assert_allclose(back.data, before.data, rtol=1e-3)


def test_only_voxels_of_the_mask_with_a_factor_other_than_one_change() -> None:
    before = scan(sigma=0.02)
    mask = np.arange(12).reshape(GRID) % 2 == 0
    change = constant_change(0.5, 1.0, before)
    change.anisotropy_factor[0] = 1
    after = change_dwi(before, mask, change)
    is_changed = (after.data != before.data).any(axis=-1)
    np.testing.assert_array_equal(is_changed, mask & (change.anisotropy_factor != 1))
    np.testing.assert_array_equal(is_changed, mask & change.is_changed)


def test_without_a_factor_the_scan_is_as_it_was() -> None:
    before = scan(sigma=0.02)
    after = change_dwi(before, EVERYWHERE, constant_change(1.0, 1.0, before))
    np.testing.assert_array_equal(after.data, before.data)


def test_a_voxel_without_signal_stays_without_signal() -> None:
    plain = scan()
    data = plain.data.copy()
    data[0, 0, 0] = 0
    after = change_dwi(replace(plain, data=data), EVERYWHERE, constant_change(0.9, 1.1, plain))
    np.testing.assert_array_equal(after.data[0, 0, 0], 0)


def test_axes_stay_and_the_anisotropy_of_a_sphere_stays_zero() -> None:
    axes = turn(20, 30, 40)
    tensors = np.stack([axes @ np.diag([1.7e-3, 0.3e-3, 0.2e-3]) @ axes.T, 1e-3 * np.eye(3)])
    changed = change_tensors(tensors, np.array([0.7, 0.7]), np.array([1.2, 1.2]))
    turned_back = axes.T @ changed[0] @ axes
    np.testing.assert_allclose(turned_back, np.diag(np.diag(turned_back)), atol=1e-12)
    np.testing.assert_allclose(changed[1], 1.2e-3 * np.eye(3), rtol=1e-12)


def test_fa_stays_below_one_however_much_is_asked_for() -> None:
    old = ApparentTensors(1000.0, np.arange(30), np.diag([1.6e-3, 0.3e-3, 0.3e-3])[None])
    factor = np.full((1, 1, 1), 5.0)
    change = MapChange(factor, np.ones_like(factor)).to_tensor_change(old.fa[None, None])
    tensors = change_tensors(old.tensors, change.anisotropy_factor[0, 0], change.md_factor[0, 0])
    assert replace(old, tensors=tensors).fa == pytest.approx(MAX_FA)
    assert np.linalg.eigvalsh(tensors[0]).min() > 0


def test_where_fa_is_zero_or_stays_the_factor_on_anisotropy_is_that_on_fa() -> None:
    factor = np.array([[[0.9, 1.0, 1.0]]])
    change = MapChange(factor, np.ones_like(factor)).to_tensor_change(np.array([[[0, 0.3, 1.1]]]))
    np.testing.assert_array_equal(change.anisotropy_factor, factor)


def test_a_change_of_anisotropy_is_the_same_share_of_order_2_with_isotropic_tissue() -> None:
    """Partial volume halves order 2 and its change; FA and its relative change become others."""
    before = scan()
    change = constant_change(0.95, 1.0, before)
    half = replace(before, data=(before.data + before.data[..., :1] * np.exp(-0.8)) / 2)
    half.data[..., before.is_b0] = before.data[..., before.is_b0]
    shares = []
    for dwi in (before, half):
        old, new = (order_2_lengths(item) for item in (dwi, change_dwi(dwi, EVERYWHERE, change)))
        shares.append(new / old)
    np.testing.assert_allclose(shares[1], shares[0], atol=0.01)


def test_a_blurred_change_is_that_of_the_point_spread_of_a_point() -> None:
    factor = np.ones((15, 15, 15))
    factor[7, 7, 7] = 0.9
    blurred = MapChange(factor, np.ones_like(factor)).blur(1.5)
    squared = np.square(np.indices(factor.shape) - 7).sum(axis=0)
    weights = np.exp(-squared / (2 * 1.5**2))
    expected = np.log(0.9) * weights / weights.sum()
    np.testing.assert_allclose(np.log(blurred.fa_factor), expected, atol=1e-5)
    np.testing.assert_array_equal(blurred.md_factor, 1)


def test_the_strength_is_one_where_a_change_is_largest_and_zero_without_one() -> None:
    change = MapChange(np.array([[[1.0, 0.9, 0.81]]]), np.array([[[1.0, 1.0, 1.05]]]))
    np.testing.assert_allclose(change.strength, [[[0, 0.5, 1]]])
    assert not MapChange(np.ones((1, 1, 1)), np.ones((1, 1, 1))).strength.any()


def test_denoised_tensors_have_what_is_not_noise_in_common_with_them_and_less_noise() -> None:
    grid = (12, 12, 12)
    mask = np.ones(grid, bool)
    truth = np.diag([1.3e-3, 0.5e-3, 0.5e-3])
    rng = np.random.default_rng(0)
    noise = 2e-4 * rng.standard_normal((mask.sum(), 3, 3))
    noise = (noise + noise.transpose(0, 2, 1)) / 2
    tensors = truth + noise

    def deviatoric(values: np.ndarray) -> np.ndarray:
        means = np.trace(values, axis1=-2, axis2=-1)[..., None, None] / 3
        return np.asarray(values - means * np.eye(3))

    true_power = np.square(deviatoric(truth)).sum()
    power = np.square(deviatoric(tensors)).sum(axis=(1, 2)).mean()
    denoised = denoise_tensors(tensors, mask, np.full(grid, true_power / power))
    found = (deviatoric(denoised) * deviatoric(tensors)).sum(axis=(1, 2)).mean()
    assert found == pytest.approx(true_power, rel=0.05)
    errors = [
        np.square(deviatoric(item) - deviatoric(truth)).mean() for item in (tensors, denoised)
    ]
    assert errors[1] < 0.3 * errors[0]
    np.testing.assert_allclose(
        np.trace(denoised, axis1=1, axis2=2), np.trace(tensors, axis1=1, axis2=2)
    )


def test_a_change_of_given_tensors_leaves_the_noise_of_the_signal() -> None:
    """A noisy scan changes by as much as one without noise, also where MD rises."""
    clean = scan((1000.0, 2000.0))
    tensors = fit_scan_tensors(clean, EVERYWHERE)
    noise = 20 * np.random.default_rng(0).standard_normal(clean.data.shape)
    noisy = replace(clean, data=clean.data + np.where(clean.is_b0, 0, noise))
    before, after = (
        change_dwi(dwi, EVERYWHERE, constant_change(0.8, 1.2, clean), tensors).data
        for dwi in (clean, noisy)
    )
    np.testing.assert_allclose(after - before, noisy.data - clean.data, atol=1e-3)
    assert np.abs(before - clean.data).max() > 20


def test_no_signal_falls_below_zero() -> None:
    clean = scan()
    dark = replace(clean, data=clean.data * np.where(clean.is_b0, 1, 0.01))
    tensors = fit_scan_tensors(clean, EVERYWHERE)
    after = change_dwi(dark, EVERYWHERE, constant_change(1.0, 1.5, clean), tensors)
    assert after.data.min() == 0


def test_a_high_shell_changes_as_its_own_apparent_tensor() -> None:
    """With kurtosis, diffusivities look smaller at a high b: here half as large."""
    gaussian = scan((1000.0, 3000.0))
    data = gaussian.data.copy()
    data[..., 31:] = data[..., :1] * np.sqrt(data[..., 31:] / data[..., :1])
    before = replace(gaussian, data=data)
    after = change_dwi(before, EVERYWHERE, constant_change(0.9, 1.1, before))
    shells = [slice(1, 31), slice(31, 61)]
    maps = [(fit_shells(before, shell), fit_shells(after, shell)) for shell in shells]
    np.testing.assert_allclose(maps[1][0].md, maps[0][0].md, rtol=1e-3)
    for old, new in maps:
        np.testing.assert_allclose(new.fa, 0.9 * old.fa, rtol=1e-3)
        np.testing.assert_allclose(new.md, 1.1 * old.md, rtol=1e-3)


def test_a_shell_too_small_for_a_tensor_changes_as_the_others_say() -> None:
    plain = scan((1000.0, 2500.0))
    few = np.r_[:31, 31:35]
    before = Dwi(plain.data[..., few], plain.affine, plain.bvals[few], plain.bvecs[few])
    after = change_dwi(before, EVERYWHERE, constant_change(0.9, 1.2, before))
    expected = change_dwi(plain, EVERYWHERE, constant_change(0.9, 1.2, plain)).data[..., few]
    np.testing.assert_allclose(after.data, expected, rtol=1e-3)
