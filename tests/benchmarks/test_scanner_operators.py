from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Float

from benchmarks.scanner_operators import (
    B0_COUNT,
    S0_MEDIAN,
    Head,
    Pose,
    ScannerOperator,
    simulate_scan,
    spread_directions,
)
from bids_shresnet.diffusion.harmonics import basis
from tests.diffusion.heads import turn
from tests.methods.heads import GRID, head

BVECS = spread_directions(20, 1)
NEUTRAL = ScannerOperator()


def real_head() -> Head:
    """A head of 10 x 10 x 10 voxels with its own S0."""
    s0 = np.random.default_rng(0).uniform(500, 1500, GRID).astype(np.float32)
    return Head(head(1), s0, np.zeros(GRID, np.float32))


def relative_signal(scanner: ScannerOperator) -> Float[np.ndarray, "v n"]:
    """S/S0 of a scan without noise in the brain."""
    dwi = simulate_scan(real_head(), scanner, BVECS)
    values = dwi.data[real_head().image.mask]
    return np.asarray(values[:, B0_COUNT:] / values[:, :1])


def test_a_scanner_that_changes_nothing_measures_the_head() -> None:
    known = real_head()
    dwi = simulate_scan(known, NEUTRAL, BVECS)
    expected = known.image.coefficients[known.image.mask] @ basis(BVECS, 2).T
    np.testing.assert_allclose(dwi.data[..., 0], known.s0, rtol=1e-5)
    np.testing.assert_allclose(relative_signal(NEUTRAL), expected, rtol=1e-3)


def test_an_exponent_scales_b() -> None:
    exponents = np.log(relative_signal(replace(NEUTRAL, b_exponent=1.2)))
    np.testing.assert_allclose(exponents, 1.2 * np.log(relative_signal(NEUTRAL)), rtol=1e-3)


def test_gains_scale_the_harmonics_of_their_order() -> None:
    gained = relative_signal(replace(NEUTRAL, order_gains=(1.0, 0.5, 1.0)))
    inverse = np.linalg.pinv(basis(BVECS, 2)).T
    before = relative_signal(NEUTRAL) @ inverse
    np.testing.assert_allclose(gained @ inverse, before * ([1] + [0.5] * 5), atol=1e-3)


def test_a_turned_head_is_the_turned_image_in_turned_directions() -> None:
    known = real_head()
    quarter = Pose(turn(0, 0, 90), np.zeros(3))
    turned = simulate_scan(known, NEUTRAL, BVECS @ quarter.rotation.T, pose=quarter)
    still = simulate_scan(known, NEUTRAL, BVECS)
    expected = np.rot90(still.data, 1, axes=(0, 1))
    inside = np.rot90(known.image.mask, 1, axes=(0, 1))
    np.testing.assert_allclose(turned.data[inside], expected[inside], rtol=1e-3)


def test_a_shift_by_a_voxel_moves_every_voxel_by_one() -> None:
    known = real_head()
    moved = simulate_scan(known, NEUTRAL, BVECS, pose=Pose(np.eye(3), np.array([2.0, 0, 0])))
    still = simulate_scan(known, NEUTRAL, BVECS)
    np.testing.assert_allclose(moved.data[1:, ..., 0], still.data[:-1, ..., 0], rtol=1e-4)


def test_noise_of_many_channels_has_the_power_of_all() -> None:
    dark = replace(real_head(), s0=np.zeros(GRID, np.float32))
    scanner = replace(NEUTRAL, coils=4, snr=20.0)
    dwi = simulate_scan(dark, scanner, BVECS, rng=np.random.default_rng(0))
    power = np.square(dwi.data.astype(float)).mean() / (S0_MEDIAN / 20) ** 2
    assert power == pytest.approx(2 * 4, rel=0.01)


def test_drift_takes_its_share_of_the_last_volume() -> None:
    scanner = replace(NEUTRAL, drift=0.1, snr=1e6)
    drifting = simulate_scan(real_head(), scanner, BVECS, rng=np.random.default_rng(0)).data
    still = simulate_scan(real_head(), NEUTRAL, BVECS).data
    np.testing.assert_allclose(drifting[..., 0], still[..., 0], rtol=1e-3)
    np.testing.assert_allclose(drifting[..., -1], 0.9 * still[..., -1], rtol=1e-3, atol=0.02)
