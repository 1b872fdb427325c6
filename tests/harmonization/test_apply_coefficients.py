from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.diffusion.measurement_noise import MeasurementNoise, rician_mean
from bids_shresnet.diffusion.represent import represent_source
from bids_shresnet.diffusion.tensors import fit_dwi_tensor
from bids_shresnet.harmonization.apply_coefficients import (
    Application,
    apply_coefficients,
    noise_seed,
)
from bids_shresnet.harmonization.harmonized_scan import HarmonizedScan
from bids_shresnet.inputs.load_scan import LoadedScan, add_mask_and_s0
from bids_shresnet.scans import Dwi, Shell, ShImage
from tests.diffusion.heads import make_dwi, sphere, turn

GRID = (16, 16, 8)
EVERYWHERE = np.ones(GRID, bool)
SHELLS = (Shell(1000.0, 4, 30),)
DIRECTIONS = sphere(30)
AXES = turn(10, 20, 30)
DIFFUSIVITIES = np.array([0.95e-3, 0.8e-3, 0.7e-3])  # mm2/s, so alike that noise raises FA
NOISE = MeasurementNoise(level=0.05, direction_count=30, b0_count=1)


def tensor_signal(
    bvecs: Float[np.ndarray, "d 3"], bvalue: float = 1000.0
) -> Float[np.ndarray, " d"]:
    tensor = AXES @ np.diag(DIFFUSIVITIES) @ AXES.T
    return np.asarray(np.exp(-bvalue * np.einsum("ni,ij,nj->n", bvecs, tensor, bvecs)))


def make_scan(seed: int = 0) -> LoadedScan:
    """A scan of noise; only its S0, grid and gradient table matter."""
    rng = np.random.default_rng(seed)
    s0 = rng.uniform(700, 1300, GRID)
    relative = rng.uniform(0.2, 0.8, (*GRID, 30))
    return add_mask_and_s0(make_dwi(relative, np.full(30, 1000.0), DIRECTIONS, s0), EVERYWHERE)


def prediction(*, sigma: float, bvalue: float = 1000.0) -> ShImage:
    """Coefficients of the mean magnitude of a tensor's signal, as networks learn them."""
    dense = sphere(200)
    signal = tensor_signal(dense, bvalue)
    mean = rician_mean(signal, sigma) if sigma else signal
    coefficients = (np.linalg.pinv(basis(dense, 4)) @ mean).astype(np.float32)
    stacked = np.broadcast_to(coefficients, (*GRID, 15)).copy()
    return ShImage(stacked, EVERYWHERE, np.diag([2.0, 2, 2, 1]), SHELLS, np.zeros(GRID, np.float32))


def apply(scan: LoadedScan, predicted: ShImage, **changes: Any) -> HarmonizedScan:
    application = Application(method="shresnet", bvalues=[1000.0], noise=NOISE)
    representation = represent_source(scan.dwi, scan.mask, SHELLS)
    return apply_coefficients(scan, representation, predicted, replace(application, **changes))


def measure_target(scan: LoadedScan, sigma: float, count: int, bvalue: float = 1000.0) -> Dwi:
    """The target's own scan: one draw of complex noise, constant in scanner units."""
    rng = np.random.default_rng(99)
    table = sphere(count)
    signal = scan.s0[..., None] * tensor_signal(table, bvalue)
    deviation = sigma * float(np.median(scan.s0))
    real, imaginary = deviation * rng.standard_normal((2, *signal.shape))
    noisy = np.hypot(signal + real, imaginary) / scan.s0[..., None]
    return make_dwi(noisy, np.full(count, bvalue), table, scan.s0)


@pytest.mark.parametrize(
    ("target_count", "bvalue"), [(20, 1000.0), (30, 1000.0), (60, 1000.0), (30, 2500.0)]
)
def test_maps_have_the_mean_fa_and_md_of_the_targets_own_maps(
    target_count: int, bvalue: float
) -> None:
    """Also with other numbers of directions, and where the noise floor changes the mean signal."""
    scan = make_scan()
    noise = replace(NOISE, direction_count=target_count)
    predicted = prediction(sigma=NOISE.level, bvalue=bvalue)
    harmonized = apply(scan, predicted, noise=noise, bvalues=[bvalue])
    target = fit_dwi_tensor(measure_target(scan, NOISE.level, target_count, bvalue), EVERYWHERE)
    assert abs(target.fa.mean() / tensor_fa() - 1) > 0.1
    assert harmonized.maps.fa.mean() == pytest.approx(target.fa.mean(), rel=0.02)
    assert harmonized.maps.md.mean() == pytest.approx(target.md.mean(), rel=0.01)


def tensor_fa() -> float:
    spread = np.square(DIFFUSIVITIES - DIFFUSIVITIES.mean()).sum()
    return float(np.sqrt(1.5 * spread / np.square(DIFFUSIVITIES).sum()))


def test_denoised_maps_are_those_of_the_tensor_itself() -> None:
    """The mean of magnitudes, which was predicted, lies above the signal."""
    harmonized = apply(make_scan(), prediction(sigma=NOISE.level))
    assert harmonized.denoised_maps is not None
    np.testing.assert_allclose(harmonized.denoised_maps.fa.mean(), tensor_fa(), rtol=0.02)
    np.testing.assert_allclose(harmonized.denoised_maps.md.mean(), DIFFUSIVITIES.mean(), rtol=0.01)
    kept = apply(make_scan(), prediction(sigma=NOISE.level), method="order_gain")
    assert kept.maps.md.mean() < harmonized.denoised_maps.md.mean()


def test_a_method_that_keeps_noise_and_unknown_noise_get_none() -> None:
    predicted = prediction(sigma=0.0)
    for changes in ({"method": "order_gain"}, {"noise": None}):
        harmonized = apply(make_scan(), predicted, **changes)
        assert harmonized.noise_model is None
        tensors = fit_dwi_tensor(harmonized.dwi, EVERYWHERE)
        np.testing.assert_array_equal(harmonized.maps.fa[EVERYWHERE], tensors.fa)
        np.testing.assert_array_equal(harmonized.maps.md[EVERYWHERE], tensors.md)
    assert apply(make_scan(), predicted, method="order_gain").denoised_maps is None


def test_noise_in_the_dwi_gives_its_tensor_the_comparable_fa_and_leaves_the_maps() -> None:
    scan = make_scan()
    predicted = prediction(sigma=NOISE.level)
    plain = apply(scan, predicted)
    noisy = apply(scan, predicted, noise_choice="target")
    np.testing.assert_array_equal(noisy.maps.fa, plain.maps.fa)
    np.testing.assert_array_equal(noisy.dwi.data[..., 0], plain.dwi.data[..., 0])
    tensors = fit_dwi_tensor(noisy.dwi, EVERYWHERE)
    assert tensors.fa.mean() == pytest.approx(plain.maps.fa.mean(), rel=0.03)
    assert fit_dwi_tensor(plain.dwi, EVERYWHERE).fa.mean() < 0.9 * tensors.fa.mean()


def test_voxels_that_were_not_predicted_stay_as_measured() -> None:
    scan = make_scan()
    predicted = prediction(sigma=NOISE.level)
    part = EVERYWHERE.copy()
    part[:4] = False
    harmonized = apply(scan, replace(predicted, mask=part), noise_choice="target")
    np.testing.assert_array_equal(harmonized.dwi.data[:4], scan.dwi.data[:4])
    own = fit_dwi_tensor(scan.dwi, ~part)
    np.testing.assert_allclose(harmonized.maps.fa[~part], own.fa, rtol=1e-5)


def test_no_signal_is_below_the_floor() -> None:
    predicted = prediction(sigma=0.0)
    predicted.coefficients[:] = 0
    harmonized = apply(make_scan(), predicted, noise=None)
    relative = harmonized.dwi.data[..., 1:] / harmonized.dwi.data[..., :1]
    np.testing.assert_allclose(relative, 1e-3, rtol=1e-5)
    np.testing.assert_allclose(harmonized.maps.md, np.log(1000) / 1000, rtol=1e-3)
    dark = apply(make_scan(), predicted)
    relative = dark.dwi.data[..., 1:] / dark.dwi.data[..., :1]
    np.testing.assert_allclose(relative, 1e-3, rtol=1e-5)


@pytest.mark.slow
def test_the_seed_is_that_of_the_scan_unless_one_is_given() -> None:
    scan = make_scan()
    assert noise_seed(scan) == noise_seed(make_scan()) != noise_seed(make_scan(1))
    predicted = prediction(sigma=0.0)
    own = apply(scan, predicted)
    same = apply(scan, predicted, seed=noise_seed(scan))
    other = apply(scan, predicted, seed=1)
    np.testing.assert_array_equal(own.maps.fa, same.maps.fa)
    assert (own.maps.fa != other.maps.fa).any()


def test_a_voxel_of_the_maps_is_less_noisy_than_one_measurement_of_it() -> None:
    """FA and MD are means over four draws."""
    scan = make_scan()
    harmonized = apply(scan, prediction(sigma=NOISE.level))
    once = fit_dwi_tensor(measure_target(scan, NOISE.level, 30), EVERYWHERE)
    assert harmonized.maps.fa.std() == pytest.approx(once.fa.std() / 2, rel=0.1)
