from __future__ import annotations

import numpy as np

from bids_shresnet.diffusion.measurement_noise import MeasurementNoise
from bids_shresnet.diffusion.tensors import fit_dwi_tensor
from bids_shresnet.harmonization.harmonized_scan import HarmonizedScan, NoiseModel
from bids_shresnet.scans import Dwi
from tests.diffusion.heads import make_dwi, sphere

GRID = (6, 5, 4)
MASK = np.random.default_rng(0).uniform(size=GRID) > 0.3
NOISE = MeasurementNoise(level=0.05, s0_exponent=1.0, direction_count=20, b0_count=1)


def plain_dwi() -> Dwi:
    relative = np.random.default_rng(1).uniform(0.3, 0.5, (*GRID, 27)).astype(np.float32)
    bvals = np.array([1000.0] * 20 + [700.0] * 7)
    return make_dwi(relative, bvals, np.concatenate([sphere(20), sphere(7)]))


def harmonized_scan(
    *, novelty: np.ndarray | None = None, deviation: float | None = None
) -> HarmonizedScan:
    dwi = plain_dwi()
    noise_model = None
    if deviation is not None:
        noise_model = NoiseModel(NOISE, np.full(GRID, deviation), seed=1)
    return HarmonizedScan(
        dwi=dwi,
        signal=dwi,
        mask=MASK,
        method="shresnet",
        measured_volume_count=21,
        noise_model=noise_model,
        is_denoised=True,
        used_volume_count=20,
        clipped_fraction=0.0,
        novelty=np.zeros(GRID) if novelty is None else novelty,
    )


def test_maps_do_not_use_predicted_shells() -> None:
    dwi = plain_dwi()
    measured = Dwi(dwi.data[..., :21], dwi.affine, dwi.bvals[:21], dwi.bvecs[:21])
    expected = fit_dwi_tensor(measured, MASK)
    maps = harmonized_scan().maps
    np.testing.assert_array_equal(maps.fa[MASK], expected.fa)
    np.testing.assert_array_equal(maps.md[MASK], expected.md)
    assert not maps.fa[~MASK].any()


def test_without_noise_comparable_and_denoised_maps_are_the_same() -> None:
    still = harmonized_scan(deviation=0.0)
    assert still.denoised_maps is not None
    np.testing.assert_allclose(still.maps.fa, still.denoised_maps.fa, rtol=1e-6)
    noisy = harmonized_scan(deviation=60.0)
    assert noisy.maps.fa[MASK].mean() > 1.1 * still.maps.fa[MASK].mean()


def test_maps_of_some_voxels_are_alike_those_of_all() -> None:
    some = MASK.copy()
    some[3:] = False
    scan = harmonized_scan(deviation=30.0)
    maps = scan.fit_maps(some)
    assert not maps.fa[~some].any()
    np.testing.assert_allclose(maps.md[some], scan.maps.md[some], rtol=0.2)
    denoised = scan.fit_denoised_maps(some)
    assert scan.denoised_maps is not None
    np.testing.assert_array_equal(denoised.fa[some], scan.denoised_maps.fa[some])


def test_draws_of_one_number_are_equal_and_of_two_are_not() -> None:
    model = NoiseModel(NOISE, np.full(GRID, 30.0), seed=4)
    signal = np.full((int(MASK.sum()), 20), 400.0, np.float32)
    one = model.draw(signal, MASK, number=0)
    np.testing.assert_array_equal(model.draw(signal, MASK, number=0), one)
    assert (model.draw(signal, MASK, number=1) != one).any()


def test_the_novel_share_is_of_the_voxels_that_can_be_judged() -> None:
    assert harmonized_scan().novel_fraction == 0
    novelty = np.zeros(GRID)
    novelty[0, 0, :4] = [0.5, 2.0, 0.9, 0.1]
    assert harmonized_scan(novelty=novelty).novel_fraction == 0.25
