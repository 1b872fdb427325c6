from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from jaxtyping import Float
from safetensors.numpy import load, save
from scipy.ndimage import distance_transform_edt, gaussian_filter

from bids_shresnet.diffusion.attenuation import mean_b0
from bids_shresnet.diffusion.harmonics import basis
from bids_shresnet.diffusion.novelty import (
    MIN_S0_CONTRAST,
    NoveltyDetector,
    extract_features,
    fit_novelty_detector,
)
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.spatial.masking import compute_brain_mask
from bids_shresnet.phantom.anatomy import Person
from bids_shresnet.phantom.head import simulate_dwi
from bids_shresnet.phantom.scanner import PhantomScanner
from bids_shresnet.scans import Shell, ShImage
from tests.diffusion.heads import atlas, lay_down, sphere, turn

GRID = (16, 17, 18)
SHELLS = (Shell(1000.0, 4), Shell(2000.0, 2))
FIRST = slice(0, 15)
SECOND = slice(15, 21)
VOXEL_MM = 5.0
LESION_MM = 9.0  # standard deviation
SCANNER = PhantomScanner(
    {}, directions=15, table_seed=3, b0_count=2, te_ms=80.0, psf_mm=3.0, snr=25.0
)


def make_image(seed: int) -> ShImage:
    """Smooth levels and directions with noise, of one distribution for all images."""
    rng = np.random.default_rng(seed)
    coefficients = gaussian_filter(rng.standard_normal((*GRID, 21)), (2, 2, 2, 0))
    coefficients += 0.02 * rng.standard_normal((*GRID, 21))
    coefficients[..., [0, 15]] += np.array([2.0, 1.0])
    contrast = gaussian_filter(rng.standard_normal(GRID), 2)
    mask = np.linalg.norm(np.moveaxis(np.indices(GRID), 0, -1) - 8, axis=-1) < 8
    inside = (coefficients * mask[..., None]).astype(np.float32)
    return ShImage(
        inside, mask, np.diag([2.0, 2, 2, 1]), SHELLS, (contrast * mask).astype(np.float32)
    )


@cache
def fit_detector() -> NoveltyDetector:
    return fit_novelty_detector([make_image(seed) for seed in range(4)], seed=0)


def novel_fraction(detector: NoveltyDetector, image: ShImage) -> float:
    """Share of the mask beyond the threshold."""
    distances = detector.compute_distances(image)[image.mask]
    return float((distances > detector.threshold).mean())


def rotation(sh_order: int) -> Float[np.ndarray, "c c"]:
    """Matrix from coefficients to those of a turned head."""
    table = sphere(60)
    return np.asarray(
        np.linalg.pinv(basis(table, sh_order)) @ basis(table @ turn(20, -50, 75), sh_order)
    )


def test_smoothing_is_round_on_an_oblique_grid_of_unequal_voxels() -> None:
    """The grid is rotated: voxel indices and their distances stay the same."""
    straight = np.diag([2.0, 3.0, 6.0, 1.0])
    oblique = np.eye(4)
    oblique[:3, :3] = turn(20, -50, 75) @ straight[:3, :3]
    image = make_image(5)
    detector = fit_detector()
    distances = detector.compute_distances(replace(image, affine=straight))
    turned = detector.compute_distances(replace(image, affine=oblique))
    np.testing.assert_allclose(turned, distances, atol=1e-4)
    assert np.abs(detector.compute_distances(image) - distances).max() > 0.1


@cache
def simulate_head(
    number: int, *, lesion: bool = False
) -> tuple[ShImage, Float[np.ndarray, "x y z"]]:
    """A phantom's scan and the weight of its lesion: free water where white matter is deepest."""
    rng = np.random.default_rng(number)
    session = lay_down(VOXEL_MM)
    tissue = session.compute_tissue(atlas(), Person.draw(rng))
    depth = distance_transform_edt(tissue.fractions[..., 0] > 0.5)
    deepest = np.unravel_index(depth.argmax(), depth.shape)
    offsets = session.voxel_positions - session.voxel_positions[deepest]
    weight = np.exp(-np.square(offsets / LESION_MM).sum(axis=-1) / 2)
    fractions = tissue.fractions.copy()
    moved = 0.6 * lesion * weight * fractions[..., 0]
    fractions[..., 0] -= moved
    fractions[..., 2] += moved
    dwi = simulate_dwi(replace(tissue, fractions=fractions), SCANNER, session, rng)
    mask = compute_brain_mask(mean_b0(dwi), VOXEL_MM)
    representation = represent_dwi(dwi, mask, (Shell(1000.0, 4),))
    return representation.image, weight


@pytest.mark.slow
def test_rotating_all_coefficients_leaves_the_distance() -> None:
    sh_image = make_image(9)
    turned = sh_image.coefficients.copy()
    turned[..., FIRST] = sh_image.coefficients[..., FIRST] @ rotation(4).T
    turned[..., SECOND] = sh_image.coefficients[..., SECOND] @ rotation(2).T
    assert np.abs(turned - sh_image.coefficients).max() > 0.1
    distance = fit_detector().compute_distances(
        replace(sh_image, coefficients=turned.astype(np.float32))
    )
    np.testing.assert_allclose(distance, fit_detector().compute_distances(sh_image), rtol=1e-3)


@pytest.mark.slow
def test_mirroring_the_image_mirrors_the_distance() -> None:
    sh_image = make_image(9)
    mirrored = replace(
        sh_image,
        coefficients=sh_image.coefficients[::-1],
        mask=sh_image.mask[::-1],
        contrast=sh_image.contrast[::-1],
    )
    np.testing.assert_allclose(
        fit_detector().compute_distances(mirrored),
        fit_detector().compute_distances(sh_image)[::-1],
        rtol=1e-3,
    )


@pytest.mark.slow
def test_signal_of_a_whole_brain_may_be_weaker_or_stronger() -> None:
    sh_image = make_image(9)
    weaker = sh_image.coefficients.copy()
    weaker[..., FIRST] *= 0.5
    weaker[..., SECOND] *= 1.25
    distance = fit_detector().compute_distances(replace(sh_image, coefficients=weaker))
    np.testing.assert_allclose(distance, fit_detector().compute_distances(sh_image), rtol=1e-3)


def test_features_are_means_and_spreads_over_the_patch() -> None:
    sh_image = make_image(3)
    features = extract_features(sh_image)
    values = features.values
    row = np.flatnonzero((np.argwhere(features.mask) == [8, 9, 7]).all(axis=1))[0]
    patch = np.s_[7:10, 8:11, 6:9]
    level = sh_image.coefficients[patch][..., 0]
    second = sh_image.coefficients[patch][..., 1:6].reshape(27, 5)
    expected = [
        level.mean(),
        level.std(),
        np.linalg.norm(second, axis=1).mean(),
        np.linalg.norm(second.mean(axis=0)),
    ]
    ratios = values[row, 2:6] / values[row, 2]
    np.testing.assert_allclose(ratios, np.array(expected) / expected[0], rtol=1e-3)
    np.testing.assert_allclose(
        values[row, :2],
        [sh_image.contrast[patch].mean(), sh_image.contrast[patch].std()],
        rtol=1e-3,
    )
    assert np.median(values[:, 2]) == pytest.approx(1)  # relative to the median level
    assert values.shape == (features.mask.sum(), 2 + 4 + 4)


def test_shell_of_order_zero_alone_has_a_level_and_its_spread() -> None:
    sh_image = make_image(3)
    flat = replace(
        sh_image, coefficients=sh_image.coefficients[..., :1], shells=(Shell(1000.0, 0),)
    )
    np.testing.assert_array_equal(
        extract_features(flat).values, extract_features(sh_image).values[:, :4]
    )


@pytest.mark.slow
def test_few_percent_of_an_unseen_image_of_the_same_kind_are_beyond_the_threshold() -> None:
    fractions = [novel_fraction(fit_detector(), make_image(seed)) for seed in range(10, 20)]
    # fewer than when held out: there is one subject more to learn from
    assert 0.001 < np.mean(fractions) < 0.04


def test_outside_the_mask_and_without_signal_nothing_is_judged_nor_matters() -> None:
    sh_image = make_image(9)
    empty, dark = np.zeros((2, *GRID), bool)
    empty[6] = True
    dark[:, 4] = True
    coefficients = np.where(empty[..., None], 0, sh_image.coefficients)
    contrast = np.where(dark, np.float32(MIN_S0_CONTRAST) - 0.1, sh_image.contrast)
    distance = fit_detector().compute_distances(
        replace(sh_image, coefficients=coefficients, contrast=contrast)
    )
    np.testing.assert_array_equal(distance > 0, sh_image.mask & ~empty & ~dark)
    changed = replace(
        sh_image, coefficients=np.where(dark[..., None], 1e3, coefficients), contrast=contrast
    )
    np.testing.assert_array_equal(fit_detector().compute_distances(changed), distance)


def test_image_with_an_empty_mask_is_zero() -> None:
    sh_image = make_image(9)
    nothing = replace(
        sh_image,
        coefficients=0 * sh_image.coefficients,
        mask=np.zeros(GRID, bool),
        contrast=0 * sh_image.contrast,
    )
    np.testing.assert_array_equal(fit_detector().compute_distances(nothing), 0)


def test_arrays_stored_as_safetensors_give_the_same_distances() -> None:
    again = NoveltyDetector.from_arrays(load(save(fit_detector().arrays())))
    assert again.threshold == fit_detector().threshold
    np.testing.assert_array_equal(
        again.compute_distances(make_image(9)), fit_detector().compute_distances(make_image(9))
    )


def test_roughness_is_compared_with_that_of_the_training_scans() -> None:
    image = make_image(9)
    noise = 0.01 * np.random.default_rng(3).standard_normal(image.coefficients.shape)
    noisier = replace(image, coefficients=(image.coefficients + noise).astype(np.float32))
    assert fit_detector().compare_roughness(image) == pytest.approx(1, abs=0.02)
    assert fit_detector().compare_roughness(noisier) > 1.05
    again = NoveltyDetector.from_arrays(load(save(fit_detector().arrays())))
    assert again.compare_roughness(noisier) == fit_detector().compare_roughness(noisier)


@pytest.mark.slow
def test_same_seed_and_images_one_by_one_give_the_same() -> None:
    again = fit_novelty_detector((make_image(seed) for seed in range(4)), seed=0)
    for name, array in again.arrays().items():
        np.testing.assert_array_equal(array, fit_detector().arrays()[name])


def test_single_subject_is_enough_to_fit() -> None:
    detector = fit_novelty_detector([make_image(0)])
    fraction = novel_fraction(detector, make_image(0))  # of the very scan it was fitted to
    assert fraction == pytest.approx(0.02, abs=0.002)


@pytest.mark.slow
@pytest.mark.slow
def test_free_water_in_white_matter_is_marked_and_healthy_brain_is_not() -> None:
    detector = fit_novelty_detector([simulate_head(number)[0] for number in range(6)])
    healthy, weight = simulate_head(7)
    ill, _ = simulate_head(7, lesion=True)
    before = detector.compute_distances(healthy) > detector.threshold
    after = detector.compute_distances(ill) > detector.threshold
    assert after[weight > 0.5].mean() > 0.8
    assert before[weight > 0.5].mean() < 0.05
    assert before[healthy.mask].mean() < 0.05
    assert after[ill.mask & (weight < 0.01)].mean() < 0.05
