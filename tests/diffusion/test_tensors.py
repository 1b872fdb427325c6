from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jaxtyping import Float

from bids_shresnet.diffusion.tensors import (
    fit_relative_tensor,
    fit_tensor,
    fit_tensor_maps,
    select_tensor_volumes,
    tensor_bvalues,
)
from bids_shresnet.scans import Dwi
from tests.diffusion.heads import make_dwi, sphere, turn

GRID = (2, 2, 2)
EVERYWHERE = np.ones(GRID, bool)
ANGLES = st.tuples(*(st.floats(-180, 180),) * 3)
DIFFUSIVITIES = st.tuples(*(st.floats(0.1e-3, 3e-3),) * 3)
NASTY = st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, -1.0, 1e3, np.nan, np.inf, -np.inf])


def one_tensor(diffusivities: tuple[float, float, float], axes: Float[np.ndarray, "3 3"]) -> Dwi:
    """The same tensor in every voxel, measured in 20 directions."""
    tensor = axes @ np.diag(diffusivities) @ axes.T
    relative = np.exp(-1000 * np.einsum("ni,ij,nj->n", sphere(20), tensor, sphere(20)))
    return make_dwi(np.broadcast_to(relative, (*GRID, 20)), np.full(20, 1000.0), sphere(20))


@settings(max_examples=50)
@given(DIFFUSIVITIES, ANGLES)
def test_single_tensor_has_the_fa_and_md_of_the_textbook(
    diffusivities: tuple[float, float, float], angles: tuple[float, float, float]
) -> None:
    maps = fit_tensor_maps(one_tensor(diffusivities, turn(*angles)), EVERYWHERE)
    values = np.array(diffusivities)
    fa = np.sqrt(1.5 * np.square(values - values.mean()).sum() / np.square(values).sum())
    np.testing.assert_allclose(maps.md, values.mean(), rtol=1e-4)
    np.testing.assert_allclose(maps.fa, fa, atol=1e-3)


@pytest.mark.parametrize(
    ("diffusivities", "fa"),
    [((1e-3, 1e-3, 1e-3), 0.0), ((3e-3, 1e-9, 1e-9), 1.0), ((1.5e-3, 1.5e-3, 1e-9), np.sqrt(0.5))],
    ids=["ball", "stick", "disc"],
)
def test_ball_stick_and_disc_have_their_anisotropies(
    diffusivities: tuple[float, float, float], fa: float
) -> None:
    np.testing.assert_allclose(
        fit_tensor_maps(one_tensor(diffusivities, np.eye(3)), EVERYWHERE).fa, fa, atol=1e-3
    )


def test_what_a_scanner_writes_for_no_weighting_is_none() -> None:
    plain = one_tensor((1.7e-3, 0.3e-3, 0.2e-3), turn(10, 20, 30))
    bvals = plain.bvals.copy()
    bvecs = plain.bvecs.copy()
    bvals[0] = 5
    bvecs[0] = [0.6, 0.8, 0]
    written = fit_tensor_maps(Dwi(plain.data, plain.affine, bvals, bvecs), EVERYWHERE)
    expected = fit_tensor_maps(plain, EVERYWHERE)
    np.testing.assert_allclose(written.fa, expected.fa, rtol=1e-6)
    np.testing.assert_allclose(written.md, expected.md, rtol=1e-6)


def test_fit_trusts_each_volume_as_much_as_its_signal() -> None:
    plain = one_tensor((2.2e-3, 0.5e-3, 0.5e-3), turn(10, 20, 30))
    factors = np.random.default_rng(0).uniform(0.85, 1.15, plain.data.shape)
    noisy = (plain.data * factors).astype(np.float32)
    x, y, z = plain.bvecs.T
    products = np.stack([x * x, y * y, z * z, 2 * x * y, 2 * x * z, 2 * y * z], axis=1)
    design = np.concatenate([-plain.bvals[:, None] * products, np.ones((21, 1))], axis=1)
    expected = []
    for logs in np.log(noisy.reshape(-1, 21).astype(float)):
        first = np.linalg.lstsq(design, logs, rcond=None)[0]
        weights = np.exp(design @ first)  # the standard deviation of log S is that of S over S
        tensor = np.linalg.lstsq(weights[:, None] * design, weights * logs, rcond=None)[0]
        expected.append(tensor[:3].mean())
    tensor = fit_tensor_maps(Dwi(noisy, plain.affine, plain.bvals, plain.bvecs), EVERYWHERE)
    np.testing.assert_allclose(tensor.md.ravel(), expected, rtol=1e-3)


def test_outside_the_mask_is_zero() -> None:
    mask = np.random.default_rng(0).uniform(size=GRID) > 0.5
    maps = fit_tensor_maps(one_tensor((1.7e-3, 0.3e-3, 0.2e-3), np.eye(3)), mask)
    for image in (maps.fa, maps.md):
        np.testing.assert_array_equal(image > 0, mask)


@settings(max_examples=25)
@given(arrays(np.float32, (*GRID, 21), elements=NASTY))
def test_maps_are_finite_and_fa_within_0_and_1_whatever_the_scan_holds(data: np.ndarray) -> None:
    plain = one_tensor((1.7e-3, 0.3e-3, 0.2e-3), np.eye(3))
    with np.errstate(all="ignore"):  # warnings of the arithmetic of NaN and infinity
        maps = fit_tensor_maps(Dwi(data, plain.affine, plain.bvals, plain.bvecs), EVERYWHERE)
    assert np.isfinite(maps.md).all()
    assert ((maps.fa >= 0) & (maps.fa <= 1)).all()


def test_one_bad_voxel_does_not_change_the_others() -> None:
    plain = one_tensor((1.7e-3, 0.3e-3, 0.2e-3), np.eye(3))
    data = plain.data.copy()
    data[0, 0, 0] = 0
    expected = fit_tensor_maps(plain, EVERYWHERE)
    maps = fit_tensor_maps(Dwi(data, plain.affine, plain.bvals, plain.bvecs), EVERYWHERE)
    np.testing.assert_array_equal(maps.fa.ravel()[1:], expected.fa.ravel()[1:])
    assert maps.fa[0, 0, 0] == 0


@settings(max_examples=25)
@given(ANGLES)
def test_the_principal_direction_is_the_axis_of_the_largest_diffusivity(
    angles: tuple[float, float, float],
) -> None:
    axes = turn(*angles)
    plain = one_tensor((0.4e-3, 1.7e-3, 0.2e-3), axes)
    tensor = fit_tensor(plain.data.reshape(-1, 21), plain.bvals, plain.bvecs)
    np.testing.assert_allclose(np.abs(tensor.direction @ axes[:, 1]), 1, atol=1e-4)


def test_values_of_rows_are_those_of_the_maps() -> None:
    plain = one_tensor((1.7e-3, 0.3e-3, 0.2e-3), turn(10, 20, 30))
    noisy = plain.data * np.random.default_rng(0).uniform(0.9, 1.1, plain.data.shape).astype(
        np.float32
    )
    maps = fit_tensor_maps(Dwi(noisy, plain.affine, plain.bvals, plain.bvecs), EVERYWHERE)
    tensor = fit_tensor(noisy.reshape(-1, 21), plain.bvals, plain.bvecs)
    np.testing.assert_array_equal(tensor.fa, maps.fa.ravel())
    np.testing.assert_array_equal(tensor.md, maps.md.ravel())


def test_relative_signal_has_the_tensor_of_the_scan_it_is_relative_to() -> None:
    plain = one_tensor((1.7e-3, 0.3e-3, 0.2e-3), turn(10, 20, 30))
    rows = plain.data.reshape(-1, 21)
    tensor = fit_relative_tensor(rows[:, 1:] / rows[:, :1], plain.bvals[1:], plain.bvecs[1:])
    expected = fit_tensor(rows, plain.bvals, plain.bvecs)
    np.testing.assert_allclose(tensor.fa, expected.fa, rtol=1e-4)
    np.testing.assert_allclose(tensor.md, expected.md, rtol=1e-4)
    np.testing.assert_allclose(np.abs((tensor.direction * expected.direction).sum(1)), 1, atol=1e-5)


def test_relative_signal_outside_0_to_1_is_clipped() -> None:
    plain = one_tensor((1.7e-3, 0.3e-3, 0.2e-3), np.eye(3))
    relative = plain.data.reshape(-1, 21)[:, 1:] / 1000
    out_of_range = relative.copy()
    clipped = relative.copy()
    out_of_range[:, 0] = 1.7
    out_of_range[:, 1] = -0.3
    clipped[:, 0] = 1
    clipped[:, 1] = 0
    tensor = fit_relative_tensor(out_of_range, plain.bvals[1:], plain.bvecs[1:])
    expected = fit_relative_tensor(clipped, plain.bvals[1:], plain.bvecs[1:])
    np.testing.assert_array_equal(tensor.fa, expected.fa)
    np.testing.assert_array_equal(tensor.md, expected.md)


@pytest.mark.parametrize(
    ("shells", "expected"),
    [
        ({1000: 20}, {0, 1000}),
        ({1000: 6, 2500: 40}, {0, 1000}),
        ({700: 8, 1500: 30, 3000: 60}, {0, 700, 1500}),
        ({1000: 5, 2500: 40}, {0, 1000, 2500}),
        ({2000: 30}, {0, 2000}),
        ({300: 3, 1200: 20, 2200: 20}, {0, 300, 1200}),
    ],
)
def test_a_tensor_rests_on_low_shells_where_one_of_them_determines_it(
    shells: dict[int, int], expected: set[int]
) -> None:
    bvals = np.concatenate([[0.0], *(np.full(n, float(b)) for b, n in shells.items())])
    bvecs = np.concatenate([np.zeros((1, 3)), *(sphere(n) for n in shells.values())])
    selected = select_tensor_volumes(bvals, bvecs)
    assert set(bvals[selected]) == expected
    assert np.isin(bvals, list(expected)).sum() == len(selected)
    assert tensor_bvalues(bvals, bvecs) == tuple(sorted(expected - {0}))


def test_directions_that_repeat_do_not_determine_a_tensor() -> None:
    bvals = np.array([0.0] + [1000.0] * 10 + [2000.0] * 12)
    bvecs = np.concatenate([np.zeros((1, 3)), np.tile(sphere(5), (2, 1)), sphere(12)])
    assert len(select_tensor_volumes(bvals, bvecs)) == len(bvals)


def test_a_high_shell_does_not_change_fa_and_md() -> None:
    """Kurtosis would: the signal at b = 2500 lies above that of the tensor."""
    plain = one_tensor((1.7e-3, 0.3e-3, 0.2e-3), turn(10, 20, 30))
    high = np.full((*GRID, 20), 300.0, np.float32)
    both = Dwi(
        np.concatenate([plain.data, high], axis=3),
        plain.affine,
        np.concatenate([plain.bvals, np.full(20, 2500.0)]),
        np.concatenate([plain.bvecs, sphere(20)]),
    )
    expected = fit_tensor_maps(plain, EVERYWHERE)
    maps = fit_tensor_maps(both, EVERYWHERE)
    np.testing.assert_array_equal(maps.fa, expected.fa)
    np.testing.assert_array_equal(maps.md, expected.md)
    relative = both.data[0, 0, :1, 1:] / both.data[0, 0, :1, :1]
    rows = fit_relative_tensor(relative, both.bvals[1:], both.bvecs[1:])
    np.testing.assert_allclose(rows.fa, expected.fa[0, 0, 0], rtol=1e-4)


def test_md_is_at_most_that_of_the_lowest_signal() -> None:
    plain = one_tensor((1.7e-3, 0.3e-3, 0.2e-3), np.eye(3))
    data = plain.data.copy()
    data[..., 1:] = 1e-12
    maps = fit_tensor_maps(Dwi(data, plain.affine, plain.bvals, plain.bvecs), EVERYWHERE)
    np.testing.assert_allclose(maps.md, np.log(1000) / 1000, rtol=1e-6)
