from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from dipy.reconst.shm import smooth_pinv
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jaxtyping import Float

from bids_shresnet.diffusion.attenuation import mean_b0
from bids_shresnet.diffusion.contrast import s0_contrast
from bids_shresnet.diffusion.harmonics import basis, l_values, order_indices
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.representation import (
    anisotropy,
    append_shells,
    synthesize_dwi,
    unregularized_coefficients,
)
from bids_shresnet.diffusion.rish import rish
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensors import fit_tensor_maps
from bids_shresnet.scans import Dwi, Shell, ShImage
from tests.diffusion.heads import make_dwi, sphere, turn

GRID = (3, 4, 2)
MASK = np.random.default_rng(0).uniform(size=GRID) > 0.3
SHELLS = (Shell(1000.0, 4), Shell(2000.0, 2))
# interleaved as scanners write them: b0, three shells, of which the models know two
BVALS = np.array([0.0, *[1005, 2000, 990] * 16, 5, *[1500] * 7, *[2010] * 4, 0.001])
FIRST = np.flatnonzero(np.abs(BVALS - 1000) < 50)
SECOND = np.flatnonzero(np.abs(BVALS - 2000) < 50)
B0S = np.flatnonzero(BVALS < 50)
SHELL_BVALS = np.round(BVALS, -3)  # of both shells
OTHER = np.flatnonzero(BVALS == 1500)
KEPT = np.setdiff1d(np.arange(len(BVALS)), OTHER)
NASTY = st.floats(-1e6, 1e6, width=32) | st.sampled_from([0.0, -1.0, 1e3, np.nan, np.inf, -np.inf])


def make_scan() -> Dwi:
    """Noise on a decay, S0 between 500 and 1500, some of the signal above S0 and below zero."""
    rng = np.random.default_rng(1)
    s0 = rng.uniform(500, 1500, (*GRID, 1))
    data = s0 * np.exp(-0.7e-3 * BVALS) + rng.normal(0, 250, (*GRID, len(BVALS)))
    return Dwi(data.astype(np.float32), np.diag([2.0, 2, 2, 1]), BVALS.copy(), make_table())


def make_table() -> Float[np.ndarray, "n 3"]:
    bvecs = np.random.default_rng(2).standard_normal((len(BVALS), 3))
    bvecs /= np.linalg.norm(bvecs, axis=1, keepdims=True)
    return np.asarray(bvecs * (BVALS > 100)[:, None])


def axial_image(level: float, height: float, axis: Float[np.ndarray, " 3"]) -> ShImage:
    """S/S0 is level + height P2(cosine) in the first shell, and level in the second."""
    stacked = np.zeros((*GRID, 15 + 6), np.float32)
    stacked[MASK, 0] = stacked[MASK, 15] = np.sqrt(4 * np.pi) * level
    stacked[MASK, 1:6] = 4 * np.pi / 5 * height * basis(axis[None], 2)[0, 1:]
    return ShImage(stacked, MASK, make_scan().affine, SHELLS, np.zeros(GRID, np.float32))


def projected(dwi: Dwi, volumes: np.ndarray, sh_order: int) -> Float[np.ndarray, "v d"]:
    """Signal of one shell that DIPY's regularized harmonics leave of S/S0, times S0.

    Each volume is first brought to the b-value of the shell.
    """
    s0 = dwi.data[..., B0S].mean(axis=-1)[MASK][:, None].astype(float)
    matrix = basis(dwi.bvecs[volumes], sh_order)
    orders = l_values(sh_order)
    projection = matrix @ smooth_pinv(matrix, np.sqrt(0.006) * orders * (orders + 1))
    attenuation = np.clip(dwi.data[MASK][:, volumes] / s0, 0, 1)
    attenuation **= SHELL_BVALS[volumes] / dwi.bvals[volumes]
    return np.asarray(np.clip(attenuation @ projection.T, 1e-3, 1) * s0)


def test_unharmonized_coefficients_restore_the_signal_that_the_harmonics_can_hold() -> None:
    dwi = make_scan()
    representation = represent_dwi(dwi, MASK, SHELLS)
    restored = synthesize_dwi(dwi, representation, representation.image, [1000.0, 2000.0])
    before = np.searchsorted(KEPT, FIRST), np.searchsorted(KEPT, SECOND)
    for indices, volumes, order in zip(before, (FIRST, SECOND), (4, 2), strict=True):
        np.testing.assert_allclose(
            restored.data[MASK][:, indices], projected(dwi, volumes, order), atol=0.01
        )


def test_signal_and_tables_are_those_of_the_shells_side_by_side() -> None:
    dwi = make_scan()
    representation = represent_dwi(dwi, MASK, SHELLS)
    s0 = dwi.data[..., B0S].mean(axis=-1)[MASK][:, None]
    volumes = np.concatenate([FIRST, SECOND])
    expected = np.clip(dwi.data[MASK][:, volumes] / s0, 0, 1)
    expected **= SHELL_BVALS[volumes] / BVALS[volumes]
    np.testing.assert_allclose(representation.signal, expected, rtol=1e-5)
    np.testing.assert_array_equal(np.concatenate(representation.directions), dwi.bvecs[volumes])


def test_coefficients_are_zero_outside_the_mask() -> None:
    image = represent_dwi(make_scan(), MASK, SHELLS).image
    np.testing.assert_array_equal(image.coefficients[~MASK], 0)
    assert (image.coefficients[MASK][:, 0] > 0).all()


@pytest.mark.parametrize("directions", [None, (sphere(20), sphere(8))], ids=["own", "new"])
def test_b0_volumes_are_untouched_bit_by_bit(
    directions: tuple[np.ndarray, np.ndarray] | None,
) -> None:
    dwi = make_scan()
    dwi.data[0, 0, 0, 0] = np.nan
    dwi.data[1, 1, 1, 0] = -3
    dwi.data[2, 2, 1, 0] = 0
    representation = represent_dwi(dwi, MASK, SHELLS)
    restored = synthesize_dwi(
        dwi, representation, representation.image, [1200.0, 2100.0], directions
    )
    assert restored.data[..., restored.is_b0].tobytes() == dwi.data[..., B0S].tobytes()
    np.testing.assert_array_equal(restored.bvals[restored.is_b0], BVALS[B0S])


def test_outside_the_mask_the_scan_stays_as_measured() -> None:
    dwi = replace(make_scan(), data=np.abs(make_scan().data))
    representation = represent_dwi(dwi, MASK, SHELLS)
    restored = synthesize_dwi(
        dwi, representation, axial_image(0.4, 0.1, np.array([0.0, 0, 1])), [1200.0, 2100.0]
    )
    np.testing.assert_array_equal(restored.data[~MASK], dwi.data[~MASK][:, KEPT])


def test_shells_get_the_b_values_of_the_target_in_their_places_and_keep_their_directions() -> None:
    dwi = make_scan()
    representation = represent_dwi(dwi, MASK, SHELLS)
    restored = synthesize_dwi(dwi, representation, representation.image, [1200.0, 2100.0])
    expected = BVALS.copy()
    expected[FIRST] = 1200
    expected[SECOND] = 2100
    np.testing.assert_array_equal(restored.bvals, expected[KEPT])
    np.testing.assert_array_equal(restored.bvecs, dwi.bvecs[KEPT])


def test_volumes_of_other_shells_are_left_out() -> None:
    dwi = make_scan()
    representation = represent_dwi(dwi, MASK, SHELLS)
    assert synthesize_dwi(
        dwi, representation, representation.image, [1000.0, 2000.0]
    ).data.shape == (
        *GRID,
        len(BVALS) - len(OTHER),
    )


def test_new_directions_follow_the_b0_volumes_and_get_the_closed_form() -> None:
    dwi = make_scan()
    axis = turn(10, 20, 30)[0]
    new = sphere(20), sphere(8)
    restored = synthesize_dwi(
        dwi, represent_dwi(dwi, MASK, SHELLS), axial_image(0.4, 0.1, axis), [1200.0, 2100.0], new
    )
    s0 = dwi.data[..., B0S].mean(axis=-1)[MASK][:, None]
    first = 0.4 + 0.1 * (3 * (new[0] @ axis) ** 2 - 1) / 2
    expected = s0 * np.concatenate([first, np.full(8, 0.4)])
    np.testing.assert_allclose(restored.data[MASK][:, len(B0S) :], expected, rtol=1e-5)
    np.testing.assert_array_equal(restored.data[~MASK][:, len(B0S) :], 0)
    np.testing.assert_array_equal(restored.bvals, [*BVALS[B0S], *[1200] * 20, *[2100] * 8])
    np.testing.assert_array_equal(restored.bvecs[len(B0S) :], np.concatenate(new))


def test_harmonized_signal_in_the_scans_own_directions_is_the_closed_form() -> None:
    dwi = make_scan()
    axis = turn(10, 20, 30)[0]
    restored = synthesize_dwi(
        dwi, represent_dwi(dwi, MASK, SHELLS), axial_image(0.4, 0.1, axis), [1200.0, 2100.0]
    )
    s0 = dwi.data[..., B0S].mean(axis=-1)[MASK][:, None]
    expected = np.full(len(BVALS), 0.4)
    expected[FIRST] += 0.1 * (3 * (dwi.bvecs[FIRST] @ axis) ** 2 - 1) / 2
    weighted = ~np.isin(KEPT, B0S)
    np.testing.assert_allclose(
        restored.data[MASK][:, weighted], s0 * expected[KEPT][weighted], rtol=1e-5
    )


def test_further_shells_follow_with_the_closed_form_and_nothing_else_changes() -> None:
    """With constant harmonics, S/S0 is the same in all directions of a shell, and at most 1."""
    dwi = make_scan()
    mask = np.zeros(dwi.shape, dtype=bool)
    mask[1:] = True
    shells = (Shell(2000.0, 0), Shell(3000.0, 0))
    levels = np.array([0.3, 1.7], dtype=np.float32)
    coefficients = unmask(
        np.full((int(mask.sum()), 2), levels * np.sqrt(4 * np.pi), np.float32), mask
    )
    image = ShImage(coefficients, mask, dwi.affine, shells, np.zeros(dwi.shape, np.float32))
    appended = append_shells(dwi, dwi, image, (make_table()[:4], make_table()[4:6]))
    volumes = len(dwi.bvals)
    np.testing.assert_array_equal(appended.data[..., :volumes], dwi.data)
    np.testing.assert_array_equal(appended.bvals, [*dwi.bvals, *[2000.0] * 4, *[3000.0] * 2])
    np.testing.assert_array_equal(appended.bvecs, np.concatenate([dwi.bvecs, make_table()[:6]]))
    s0 = np.maximum(mean_b0(dwi)[mask], 0)[:, None]
    np.testing.assert_allclose(
        appended.data[mask][:, volumes:], s0 * ([0.3] * 4 + [1.0] * 2), rtol=1e-5
    )
    assert not appended.data[~mask][:, volumes:].any()


def test_scan_is_not_written_to() -> None:
    dwi = make_scan()
    representation = represent_dwi(dwi, MASK, SHELLS)
    synthesize_dwi(
        dwi, representation, axial_image(0.4, 0.1, np.array([0.0, 0, 1])), [1200.0, 2100.0]
    )
    np.testing.assert_array_equal(dwi.data, make_scan().data)
    np.testing.assert_array_equal(dwi.bvals, BVALS)


@pytest.mark.parametrize("directions", [None, (sphere(20), sphere(8))], ids=["own", "new"])
@settings(max_examples=25)
@given(arrays(np.float32, (*GRID, len(BVALS)), elements=NASTY))
def test_harmonized_volumes_are_finite_and_not_negative_whatever_the_scan_holds(
    directions: tuple[np.ndarray, np.ndarray] | None, data: np.ndarray
) -> None:
    dwi = Dwi(data, np.eye(4), BVALS, make_table())
    with np.errstate(all="ignore"):  # warnings of the arithmetic of NaN and infinity
        representation = represent_dwi(dwi, MASK, SHELLS)
        restored = synthesize_dwi(
            dwi, representation, representation.image, [1200.0, 2100.0], directions
        )
    weighted = restored.data[..., ~restored.is_b0]
    assert np.isfinite(representation.image.coefficients).all()
    assert np.isfinite(weighted).all()
    assert (weighted >= 0).all()


@pytest.mark.parametrize(("level", "height"), [(0.5, 0.0), (0.5, 0.2), (0.3, -0.15)])
def test_anisotropy_of_an_axial_signal_is_the_closed_form_whatever_its_axis(
    level: float, height: float
) -> None:
    for axis in turn(10, 20, 30):
        contrast = anisotropy(axial_image(level, height, axis))
        # power 4 pi level^2 in order 0 and 4 pi / 5 height^2 in order 2
        np.testing.assert_allclose(
            contrast[MASK], abs(height) / level / np.sqrt(5), rtol=1e-5, atol=1e-7
        )
        np.testing.assert_array_equal(contrast[~MASK], 0)


def test_anisotropy_without_signal_is_zero_and_never_above_one() -> None:
    axis = np.array([0.0, 0, 1])
    np.testing.assert_array_equal(anisotropy(axial_image(0.0, 0.0, axis)), 0)
    np.testing.assert_array_equal(anisotropy(axial_image(0.01, 0.5, axis))[MASK], 1)


def test_a_scan_of_one_shell_needs_no_more() -> None:
    relative = np.broadcast_to(0.5 + 0.1 * sphere(20)[:, 2] ** 2, (2, 2, 2, 20))
    representation = represent_dwi(
        make_dwi(relative, np.full(20, 1000.0), sphere(20)), np.ones((2, 2, 2), bool), SHELLS[:1]
    )
    assert representation.image.coefficients.shape == (2, 2, 2, 15)
    assert representation.clipped_share == 0


def test_coefficients_without_smoothing_are_the_least_squares_fit_of_each_shell() -> None:
    representation = represent_dwi(make_scan(), MASK, SHELLS)
    split = len(representation.directions[0])
    parts = [
        np.linalg.lstsq(basis(make_table, shell.sh_order), part.T.astype(float), rcond=None)[0].T
        for make_table, shell, part in zip(
            representation.directions,
            SHELLS,
            np.split(representation.signal, [split], axis=1),
            strict=True,
        )
    ]
    np.testing.assert_allclose(
        unregularized_coefficients(representation),
        np.concatenate(parts, axis=1),
        rtol=1e-3,
        atol=1e-4,
    )


def test_without_smoothing_a_signal_that_the_harmonics_can_hold_comes_back() -> None:
    axis = turn(10, 20, 30)[0]
    relative = np.broadcast_to(0.5 + 0.1 * (3 * (sphere(30) @ axis) ** 2 - 1) / 2, (2, 2, 2, 30))
    representation = represent_dwi(
        make_dwi(relative, np.full(30, 1000.0), sphere(30)), np.ones((2, 2, 2), bool), SHELLS[:1]
    )
    expected = axial_image(0.5, 0.1, axis).coefficients[MASK][:1, :15]
    np.testing.assert_allclose(
        unregularized_coefficients(representation), np.broadcast_to(expected, (8, 15)), atol=1e-5
    )


def test_the_contrast_is_that_of_the_mean_b0() -> None:
    dwi = make_scan()
    image = represent_dwi(dwi, MASK, SHELLS).image
    np.testing.assert_array_equal(image.contrast, s0_contrast(mean_b0(dwi), MASK, dwi.affine))
    assert image.contrast[MASK].any()


def fibre_dwi(bvalue: float, direction_count: int = 30) -> Dwi:
    """One voxel with a fibre, measured at a b-value without noise."""
    table = sphere(direction_count)
    cosines = table @ turn(10, 20, 30)[0]
    relative = np.exp(-bvalue * (0.3e-3 + 1.4e-3 * cosines**2))
    return make_dwi(relative[None, None, None], np.full(len(table), bvalue), table)


def fibre_lengths(direction_count: int, shell: Shell) -> Float[np.ndarray, " o"]:
    """Length of each order of a fibre's signal without noise, in so many directions."""
    dwi = fibre_dwi(shell.bvalue, direction_count)
    image = represent_dwi(dwi, np.ones((1, 1, 1), dtype=bool), (shell,)).image
    return np.asarray(np.sqrt(rish(image.coefficients[0, 0], order_indices((shell,)))[0]))


@pytest.mark.parametrize("direction_count", [20, 24, 28, 32, 64])
def test_amplitudes_do_not_depend_on_the_number_of_directions(direction_count: int) -> None:
    shell = Shell(1000.0, 4, 30)
    lengths = fibre_lengths(direction_count, shell)
    expected = fibre_lengths(30, shell)
    # what is left comes from tables that are not perfectly uniform
    np.testing.assert_allclose(lengths[:2], expected[:2], rtol=5e-3)
    np.testing.assert_allclose(lengths[2], expected[2], rtol=2e-2)


@pytest.mark.parametrize("bvalue", [950.0, 980.0, 1050.0])
def test_coefficients_do_not_depend_on_small_differences_in_b(bvalue: float) -> None:
    mask = np.ones((1, 1, 1), dtype=bool)
    shells = (Shell(1000.0, 4, 30),)
    coefficients, expected = [
        represent_dwi(dwi, mask, shells).image.coefficients
        for dwi in (fibre_dwi(bvalue), fibre_dwi(1000.0))
    ]
    np.testing.assert_allclose(coefficients, expected, atol=1e-6)


@pytest.mark.parametrize("bvalue", [800.0, 1000.0, 1200.0])
def test_voxels_that_are_not_harmonized_keep_their_tensor_whatever_b_the_target_has(
    bvalue: float,
) -> None:
    dwi = fibre_dwi(1000.0)
    mask = np.ones((1, 1, 1), dtype=bool)
    representation = represent_dwi(dwi, mask, (Shell(1000.0, 4, 30),))
    image = replace(representation.image, mask=~mask)
    restored = synthesize_dwi(dwi, representation, image, [bvalue])
    np.testing.assert_array_equal(restored.bvals, np.where(dwi.is_b0, 0, bvalue))
    before = fit_tensor_maps(dwi, mask)
    after = fit_tensor_maps(restored, mask)
    np.testing.assert_allclose(after.md, before.md, rtol=1e-3)
    np.testing.assert_allclose(after.fa, before.fa, rtol=1e-3)
