from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from jaxtyping import Float

from bids_shresnet.diffusion.attenuation import compute_attenuation, mean_b0
from bids_shresnet.scans import Dwi
from tests.diffusion.heads import sphere

GRID = (2, 3, 2)
EVERYWHERE = np.ones(GRID, bool)
BVALS = np.array([0.0, 1000, 1000, 5, 2000, 2000])
NASTY = st.floats(width=32) | st.sampled_from([0.0, -1.0, 1.0, 1e3, np.nan, np.inf, -np.inf])


def scan(data: Float[np.ndarray, "x y z n"]) -> Dwi:
    return Dwi(data.astype(np.float32), np.eye(4), BVALS, sphere(6) * (BVALS >= 50)[:, None])


def decay(s0: float | Float[np.ndarray, "x y z 1"] = 500.0) -> Float[np.ndarray, "x y z n"]:
    """Signal of 0.7e-3 mm2/s in every voxel, b0 volumes included."""
    return np.broadcast_to(s0 * np.exp(-np.where(BVALS < 50, 0, BVALS) * 0.7e-3), (*GRID, 6)).copy()


def random_decay() -> Float[np.ndarray, "x y z n"]:
    """Noisy signal, with a few values above S0."""
    return np.random.default_rng(0).uniform(100, 600, (*GRID, 6)) * [1, 0.9, 0.9, 1, 0.9, 0.9]


def test_mono_exponential_decay_comes_back_volume_for_volume() -> None:
    relative = compute_attenuation(scan(decay()), EVERYWHERE)
    expected = [1, np.exp(-0.7), np.exp(-0.7), 1, np.exp(-1.4), np.exp(-1.4)]
    np.testing.assert_allclose(relative.signal, np.broadcast_to(expected, (12, 6)), rtol=1e-6)
    assert relative.clipped_share == 0


def test_s0_is_the_mean_of_the_volumes_below_the_threshold() -> None:
    data = random_decay()
    np.testing.assert_allclose(mean_b0(scan(data)), (data[..., 0] + data[..., 3]) / 2, rtol=1e-6)


def test_receive_profile_and_gain_cancel() -> None:
    profile = np.random.default_rng(1).uniform(0.3, 3, (*GRID, 1))
    plain = compute_attenuation(scan(random_decay()), EVERYWHERE)
    profiled = compute_attenuation(scan(7 * profile * random_decay()), EVERYWHERE)
    np.testing.assert_allclose(profiled.signal, plain.signal, rtol=1e-5)
    assert profiled.clipped_share == plain.clipped_share


def test_voxels_of_the_mask_come_in_the_order_of_the_array() -> None:
    mask = np.random.default_rng(2).uniform(size=GRID) > 0.5
    everywhere = compute_attenuation(scan(random_decay()), EVERYWHERE).signal.reshape(*GRID, 6)
    np.testing.assert_array_equal(
        compute_attenuation(scan(random_decay()), mask).signal, everywhere[mask]
    )


def test_share_of_weighted_values_outside_0_to_1_is_counted_and_they_are_clipped() -> None:
    data = decay()
    data[0, 0, 0, 1] = 600
    data[1, 2, 1, 5] = 501
    data[1, 1, 0, 4] = -1
    data[0, 1, 1, [0, 3]] = 400, 600  # noise of a b0 volume is nobody's fault
    relative = compute_attenuation(scan(data), EVERYWHERE)
    assert relative.clipped_share == pytest.approx(3 / (12 * 4))
    signal = relative.signal.reshape(*GRID, 6)
    assert (signal[0, 0, 0, 1], signal[1, 2, 1, 5], signal[1, 1, 0, 4]) == (1, 1, 0)


@pytest.mark.parametrize("s0", [0.0, -5.0, 1e-30, np.nan, np.inf])
def test_voxel_without_s0_is_zero_and_the_others_do_not_care(s0: float) -> None:
    data = decay()
    data[0, 1, 0, [0, 3]] = s0
    signal = compute_attenuation(scan(data), EVERYWHERE).signal.reshape(*GRID, 6)
    np.testing.assert_array_equal(signal[0, 1, 0], 0)
    others = EVERYWHERE.copy()
    others[0, 1, 0] = False
    np.testing.assert_allclose(signal[others][:, 1], np.exp(-0.7), rtol=1e-6)


def test_scan_without_any_signal_is_zero() -> None:
    np.testing.assert_array_equal(
        compute_attenuation(scan(np.zeros((*GRID, 6))), EVERYWHERE).signal, 0
    )


@pytest.mark.slow
@given(arrays(np.float32, (*GRID, 6), elements=NASTY, fill=st.nothing()))
def test_any_data_give_finite_values_from_0_to_1(data: np.ndarray) -> None:
    with np.errstate(all="ignore"):  # warnings of the arithmetic of NaN and infinity
        relative = compute_attenuation(scan(data), EVERYWHERE)
    assert ((relative.signal >= 0) & (relative.signal <= 1)).all()
    assert 0 <= relative.clipped_share <= 1


def low_b_scan(b0_count: int, noise: float) -> Dwi:
    """Many voxels at b = 100 and 1000, S/S0 = 0.93 and 0.48, with Gaussian noise of S0."""
    bvals = np.repeat([0.0, 100.0, 1000.0], [b0_count, 20, 20])
    bvecs = np.concatenate([np.zeros((b0_count, 3)), sphere(20), sphere(20)])
    relative = np.repeat([1, 0.93, 0.48], [b0_count, 20, 20])
    noisy = relative + noise * np.random.default_rng(3).standard_normal((20, 20, 20, len(bvals)))
    return Dwi((1000 * noisy).astype(np.float32), np.eye(4), bvals, bvecs)


@pytest.mark.parametrize("noise", [0.06, 0.09])
def test_at_low_b_values_noise_above_s0_does_not_lower_the_mean(noise: float) -> None:
    """A limit of 1 would lower S/S0 by 0.004 and 0.011, and raise MD by 5 and 16 %."""
    dwi = low_b_scan(6, noise)
    relative = compute_attenuation(dwi, np.ones((20, 20, 20), dtype=bool))
    is_low = dwi.bvals == 100
    expected = (dwi.data[..., is_low] / mean_b0(dwi)[..., None]).mean()
    assert relative.signal[:, is_low].mean() == pytest.approx(expected, abs=3e-4)
    assert relative.signal[:, dwi.bvals == 1000].max() <= 1
    assert relative.clipped_share < 1e-3


def test_with_a_single_b0_volume_the_limit_is_s0() -> None:
    relative = compute_attenuation(low_b_scan(1, 0.05), np.ones((20, 20, 20), dtype=bool))
    assert relative.signal.max() == 1
