from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bids_shresnet.diffusion.attenuation import mean_b0
from bids_shresnet.diffusion.harmonics import basis, evaluation_matrix
from bids_shresnet.diffusion.measurement_noise import (
    MeasurementNoise,
    learn_measurement_noise,
    relative_s0,
    rician_mean,
)
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensors import fit_dwi_tensor, fit_tensor_maps
from bids_shresnet.harmonization.apply_coefficients import Application, apply_coefficients
from bids_shresnet.harmonization.harmonized_scan import HarmonizedScan, NoiseModel
from bids_shresnet.inputs.load_scan import LoadedScan, add_mask_and_s0
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject, UnharmonizedData
from bids_shresnet.phantom.head import noise_sigma, simulate_dwi, simulate_true_dwi
from bids_shresnet.phantom.protocols import SCANNERS, SOURCE_SESSION, TARGET_SESSION
from bids_shresnet.scans import Dwi, Shell, Tissue
from tests.diffusion.heads import NOBODY, atlas, lay_down, make_dwi, sphere

GRID = (6, 5, 4)
MASK = np.random.default_rng(0).uniform(size=GRID) > 0.3
PHANTOM_SHELLS = (Shell(1000.0, 4, 30),)
NOISE = MeasurementNoise(level=0.05, direction_count=20, b0_count=1)


def plain_dwi() -> Dwi:
    relative = np.random.default_rng(1).uniform(0.3, 0.5, (*GRID, 27)).astype(np.float32)
    bvals = np.array([1000.0] * 20 + [700.0] * 7)
    return make_dwi(relative, bvals, np.concatenate([sphere(20), sphere(7)]))


def make_noise_model(deviation: float, s0_deviation: float = 0.0) -> NoiseModel:
    """The same noise in all voxels."""
    return NoiseModel(NOISE, np.full(GRID, deviation), np.full(GRID, s0_deviation), seed=1)


def harmonized_scan(
    *, novelty: np.ndarray | None = None, deviation: float | None = None
) -> HarmonizedScan:
    dwi = plain_dwi()
    noise_model = None
    if deviation is not None:
        noise_model = make_noise_model(deviation)
    return HarmonizedScan(
        dwi=dwi,
        signal=dwi,
        mask=MASK,
        method="shresnet",
        measured_volume_count=21,
        noise_model=noise_model,
        error_model=None,
        is_denoised=True,
        used_volume_count=20,
        clipped_fraction=0.0,
        novelty=np.zeros(GRID) if novelty is None else novelty,
        roughness_ratio=1.0,
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
    model = make_noise_model(30.0)
    signal = np.full((int(MASK.sum()), 20), 400.0, np.float32)
    one = model.draw(signal, MASK, number=0)
    np.testing.assert_array_equal(model.draw(signal, MASK, number=0), one)
    assert (model.draw(signal, MASK, number=1) != one).any()


@pytest.mark.parametrize("s0_deviation", [0.0, 0.02, 0.05])
def test_deviations_by_noise_are_those_of_repeated_measurements_with_their_b0(
    s0_deviation: float,
) -> None:
    """Voxels of one signal, measured once each by a scanner whose S0 has noise as well."""
    plain = harmonized_scan()
    one_signal = plain.signal.data[2, 2, 2]
    data = np.broadcast_to(one_signal, plain.signal.data.shape).copy()
    signal = replace(plain.signal, data=data)
    noise_model = make_noise_model(10.0, s0_deviation)
    scan = replace(plain, dwi=signal, signal=signal, noise_model=noise_model)
    rng = np.random.default_rng(3)
    weighted = ~signal.is_b0
    repeats = []
    for number in range(40):
        drawn = data.copy()
        drawn[MASK] = drawn[MASK] * (1 + s0_deviation * rng.standard_normal((MASK.sum(), 1)))
        values = data[MASK][:, weighted]
        drawn[MASK[..., None] & weighted] = noise_model.draw(values, MASK, number=number).ravel()
        measured = replace(scan, signal=replace(signal, data=drawn))
        repeats.append(measured.fit_denoised_maps(MASK))
    found = scan.fit_noise_deviations()
    for name in ("fa", "md"):
        variance = np.var([getattr(maps, name)[MASK] for maps in repeats])
        assert np.square(getattr(found, name)[MASK]).mean() == pytest.approx(variance, rel=0.25)


def test_the_novel_share_is_of_the_voxels_that_can_be_judged() -> None:
    assert harmonized_scan().novel_fraction == 0
    novelty = np.zeros(GRID)
    novelty[0, 0, :4] = [0.5, 2.0, 0.9, 0.1]
    assert harmonized_scan(novelty=novelty).novel_fraction == 0.25


def learn_from_voxels(target: Dwi, source: LoadedScan, tissue: np.ndarray) -> MeasurementNoise:
    """Noise of a target's scan that lies in the same voxels as the source's."""
    mask = source.mask
    count = int(mask.sum())
    representation = represent_dwi(target, mask, PHANTOM_SHELLS)
    matched = MatchedVoxels(
        patches=np.zeros((count, 27, 16), np.float16),
        signal=representation.signal,
        bvals=target.bvals[~target.is_b0],
        bvecs=target.bvecs[~target.is_b0],
        sh_matrix=evaluation_matrix(representation.directions, PHANTOM_SHELLS),
        noise_variance=representation.noise_variance,
        source_s0=relative_s0(source.s0, mask)[mask],
        points=np.zeros((count, 3)),
        tissue=tissue[mask].astype(np.uint8),
    )
    unharmonized = UnharmonizedData(
        source_coefficients=np.zeros((count, 15)),
        source_maps=np.zeros((*mask.shape, 2)),
        target_maps=np.zeros((count, 2)),
        target_tensor_bvals=target.bvals,
    )
    image = representation.image
    noise = learn_measurement_noise(
        [TravellingSubject(image, matched, unharmonized, image.coefficients[image.mask])]
    )
    assert noise is not None
    return noise


@pytest.mark.slow
def test_maps_of_a_phantom_have_the_means_of_the_targets_own_maps_in_each_tissue() -> None:
    """The noise is learned from another scan; the prediction is the mean of magnitudes."""
    rng = np.random.default_rng(3)
    session = lay_down(4.0)
    tissue = session.compute_tissue(atlas(), NOBODY)
    mask = tissue.brain_mask
    source_scanner, target_scanner = SCANNERS[SOURCE_SESSION], SCANNERS[TARGET_SESSION]
    source = add_mask_and_s0(simulate_dwi(tissue, source_scanner, session, rng), mask)
    target = simulate_dwi(tissue, target_scanner, session, rng)
    learned = learn_from_voxels(
        simulate_dwi(tissue, target_scanner, session, rng), source, tissue.pure_labels
    )
    truth = simulate_true_dwi(tissue, source_scanner, target_scanner, session)
    true_s0 = mean_b0(truth)[mask][:, None]
    relative = truth.data[mask][:, ~truth.is_b0] / true_s0
    mean = rician_mean(relative, noise_sigma(truth, tissue, target_scanner) / true_s0)
    representation = represent_dwi(source.dwi, mask, PHANTOM_SHELLS)
    inverse = np.linalg.pinv(basis(representation.directions[0], 4)).T
    predicted = replace(
        representation.image, coefficients=unmask((mean @ inverse).astype(np.float32), mask)
    )
    application = Application(method="shresnet", bvalues=[1000.0], noise=learned)
    harmonized = apply_coefficients(source, representation, predicted, application)
    own = fit_tensor_maps(target, mask)
    assert harmonized.denoised_maps is not None
    for label in (Tissue.GM, Tissue.WM):
        where = tissue.pure_labels == label
        fa = own.fa[where].mean()
        assert harmonized.maps.fa[where].mean() == pytest.approx(fa, rel=0.03)
        assert harmonized.maps.md[where].mean() == pytest.approx(own.md[where].mean(), rel=0.01)
        if label == Tissue.GM:
            assert harmonized.denoised_maps.fa[where].mean() < 0.9 * fa
