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
from bids_shresnet.diffusion.masking import compute_brain_mask
from bids_shresnet.diffusion.novelty import (
    MIN_S0_CONTRAST,
    NoveltyDetector,
    extract_features,
    fit_novelty_detector,
)
from bids_shresnet.diffusion.representation import represent_dwi
from bids_shresnet.phantom.anatomy import Person
from bids_shresnet.phantom.head import simulate_dwi
from bids_shresnet.phantom.scanner import PhantomScanner
from bids_shresnet.scans import Shell, ShImage
from tests.diffusion.heads import atlas, lay_down, sphere, turn

GRID = (16, 17, 18)
SHELLS = (Shell(1000.0, 4), Shell(2000.0, 2))
FIRST, SECOND = slice(0, 15), slice(15, 21)
VOXEL_MM = 5.0
LESION_MM = 9.0  # standard deviation
SCANNER = PhantomScanner(
    {}, directions=15, table_seed=3, b0_count=2, te_ms=80.0, psf_mm=3.0, snr=25.0
)


def image(seed: int) -> ShImage:
    """Tissue of no anatomy: smooth levels and directions, with noise, all images alike in distribution."""
    rng = np.random.default_rng(seed)
    coefficients = gaussian_filter(
        rng.standard_normal((*GRID, 21)), (2, 2, 2, 0)
    ) + 0.02 * rng.standard_normal((*GRID, 21))
    coefficients[..., [0, 15]] += np.array([2.0, 1.0])
    contrast = gaussian_filter(rng.standard_normal(GRID), 2)
    mask = np.linalg.norm(np.moveaxis(np.indices(GRID), 0, -1) - 8, axis=-1) < 8
    inside = (coefficients * mask[..., None]).astype(np.float32)
    return ShImage(
        inside, mask, np.diag([2.0, 2, 2, 1]), SHELLS, (contrast * mask).astype(np.float32)
    )


@cache
def fitted() -> NoveltyDetector:
    return fit_novelty_detector([image(seed) for seed in range(4)], seed=0)


def rotation(sh_order: int) -> Float[np.ndarray, "c c"]:
    """What a turn of the head makes of coefficients: read off where the turned directions were."""
    table = sphere(60)
    return np.asarray(
        np.linalg.pinv(basis(table, sh_order)) @ basis(table @ turn(20, -50, 75), sh_order)
    )


@cache
def head(number: int, *, lesion: bool = False) -> tuple[ShImage, Float[np.ndarray, "x y z"]]:
    """A phantom's scan and the weight of its lesion: free water where white matter is deepest."""
    rng, session = np.random.default_rng(number), lay_down(VOXEL_MM)
    tissue = session.compute_tissue(atlas(), Person.draw(rng))
    depth = distance_transform_edt(tissue.fractions[..., 0] > 0.5)
    offsets = (
        session.voxel_positions
        - session.voxel_positions[np.unravel_index(depth.argmax(), depth.shape)]
    )
    weight = np.exp(-np.square(offsets / LESION_MM).sum(axis=-1) / 2)
    fractions = tissue.fractions.copy()
    moved = 0.6 * lesion * weight * fractions[..., 0]
    fractions[..., 0] -= moved
    fractions[..., 2] += moved
    dwi = simulate_dwi(replace(tissue, fractions=fractions), SCANNER, session, rng)
    seen = represent_dwi(dwi, compute_brain_mask(mean_b0(dwi), VOXEL_MM), (Shell(1000.0, 4),))
    return seen.image, weight


def test_rotating_all_coefficients_leaves_the_distance() -> None:
    still = image(9)
    turned = still.coefficients.copy()
    turned[..., FIRST] = still.coefficients[..., FIRST] @ rotation(4).T
    turned[..., SECOND] = still.coefficients[..., SECOND] @ rotation(2).T
    assert np.abs(turned - still.coefficients).max() > 0.1
    distance = fitted().compute_distances(replace(still, coefficients=turned.astype(np.float32)))
    np.testing.assert_allclose(distance, fitted().compute_distances(still), rtol=1e-3)


def test_mirroring_the_image_mirrors_the_distance() -> None:
    there = image(9)
    mirrored = replace(
        there,
        coefficients=there.coefficients[::-1],
        mask=there.mask[::-1],
        contrast=there.contrast[::-1],
    )
    np.testing.assert_allclose(
        fitted().compute_distances(mirrored), fitted().compute_distances(there)[::-1], rtol=1e-3
    )


def test_signal_of_a_whole_brain_may_be_weaker_or_stronger() -> None:
    there = image(9)
    weaker = there.coefficients.copy()
    weaker[..., FIRST] *= 0.5
    weaker[..., SECOND] *= 1.25
    distance = fitted().compute_distances(replace(there, coefficients=weaker))
    np.testing.assert_allclose(distance, fitted().compute_distances(there), rtol=1e-3)


def test_features_are_means_and_spreads_over_the_patch() -> None:
    there = image(3)
    features = extract_features(there)
    judged = features.mask
    values = features.values
    row = np.flatnonzero((np.argwhere(judged) == [8, 9, 7]).all(axis=1))[0]
    patch = np.s_[7:10, 8:11, 6:9]
    level, second = (
        there.coefficients[patch][..., 0],
        there.coefficients[patch][..., 1:6].reshape(27, 5),
    )
    expected = [
        level.mean(),
        level.std(),
        np.linalg.norm(second, axis=1).mean(),
        np.linalg.norm(second.mean(axis=0)),
    ]
    ratios = values[row, 2:6] / values[row, 2]
    np.testing.assert_allclose(ratios, np.array(expected) / expected[0], rtol=1e-3)
    np.testing.assert_allclose(
        values[row, :2], [there.contrast[patch].mean(), there.contrast[patch].std()], rtol=1e-3
    )
    assert np.median(values[:, 2]) == pytest.approx(1)  # relative to the median level
    assert values.shape == (judged.sum(), 2 + 4 + 4)


def test_shell_of_order_zero_alone_has_a_level_and_its_spread() -> None:
    there = image(3)
    flat = replace(there, coefficients=there.coefficients[..., :1], shells=(Shell(1000.0, 0),))
    np.testing.assert_array_equal(
        extract_features(flat).values, extract_features(there).values[:, :4]
    )


def test_few_percent_of_an_unseen_image_of_the_same_kind_are_beyond_the_threshold() -> None:
    beyond = [
        (fitted().compute_distances(image(seed)) > fitted().threshold)[image(seed).mask].mean()
        for seed in range(10, 20)
    ]
    assert (
        0.001 < np.mean(beyond) < 0.04
    )  # fewer than when left out: one subject more to learn from


def test_outside_the_mask_and_without_signal_nothing_is_judged_nor_matters() -> None:
    there = image(9)
    empty, dark = np.zeros((2, *GRID), bool)
    empty[6], dark[:, 4] = True, True
    coefficients = np.where(empty[..., None], 0, there.coefficients)
    contrast = np.where(dark, np.float32(MIN_S0_CONTRAST) - 0.1, there.contrast)
    distance = fitted().compute_distances(
        replace(there, coefficients=coefficients, contrast=contrast)
    )
    np.testing.assert_array_equal(distance > 0, there.mask & ~empty & ~dark)
    wild = replace(
        there, coefficients=np.where(dark[..., None], 1e3, coefficients), contrast=contrast
    )
    np.testing.assert_array_equal(fitted().compute_distances(wild), distance)


def test_image_with_an_empty_mask_is_zero() -> None:
    there = image(9)
    nothing = replace(
        there,
        coefficients=0 * there.coefficients,
        mask=np.zeros(GRID, bool),
        contrast=0 * there.contrast,
    )
    np.testing.assert_array_equal(fitted().compute_distances(nothing), 0)


def test_arrays_stored_as_safetensors_give_the_same_distances() -> None:
    again = NoveltyDetector.from_arrays(load(save(fitted().arrays())))
    assert again.threshold == fitted().threshold
    np.testing.assert_array_equal(
        again.compute_distances(image(9)), fitted().compute_distances(image(9))
    )


def test_same_seed_and_images_one_by_one_give_the_same() -> None:
    again = fit_novelty_detector((image(seed) for seed in range(4)), seed=0)
    for name, array in again.arrays().items():
        np.testing.assert_array_equal(array, fitted().arrays()[name])


def test_single_subject_is_enough_to_fit() -> None:
    alone = fit_novelty_detector([image(0)])
    beyond = (alone.compute_distances(image(0)) > alone.threshold)[image(0).mask].mean()
    assert beyond == pytest.approx(0.02, abs=0.002)  # of the very scan it was fitted to


@pytest.mark.slow
def test_free_water_in_white_matter_is_marked_and_healthy_brain_is_not() -> None:
    novelty = fit_novelty_detector([head(number)[0] for number in range(6)])
    (healthy, weight), (ill, _) = head(7), head(7, lesion=True)
    before, after = (novelty.compute_distances(of) > novelty.threshold for of in (healthy, ill))
    assert after[weight > 0.5].mean() > 0.8
    assert before[weight > 0.5].mean() < 0.05
    assert before[healthy.mask].mean() < 0.05
    assert after[ill.mask & (weight < 0.01)].mean() < 0.05
