from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import shift
from scipy.stats import chi2

from bids_shresnet.diffusion.spatial.roughness import (
    compare_roughness,
    describe_roughness,
    measure_roughness,
)
from bids_shresnet.scans import Shell, ShImage

GRID = (20, 20, 20)
VOXELS = np.ones(GRID, bool)
SHELLS = (Shell(1000.0, 4), Shell(2000.0, 2))
NOISE_LEVEL = 0.02


def make_image(noise_level: float = NOISE_LEVEL) -> ShImage:
    """Noise about coefficients that are the same everywhere."""
    coefficients = noise_level * np.random.default_rng(0).standard_normal((*GRID, 21)) + 1
    return ShImage(
        coefficients.astype(np.float32), VOXELS, np.eye(4), SHELLS, np.zeros(GRID, np.float32)
    )


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_roughness_of_noise_is_the_median_length_of_its_differences(factor: float) -> None:
    expected = factor * NOISE_LEVEL * np.sqrt(2 * chi2.median(9))  # nine harmonics of order 4
    assert measure_roughness(make_image(factor * NOISE_LEVEL), VOXELS) == pytest.approx(
        expected, rel=0.01
    )


def test_only_the_highest_order_of_the_first_shell_is_compared() -> None:
    image = make_image()
    other = image.coefficients.copy()
    other[..., [*range(6), *range(15, 21)]] *= np.random.default_rng(1).random((*GRID, 12))
    changed = replace(image, coefficients=other)
    assert measure_roughness(changed, VOXELS) == measure_roughness(image, VOXELS)


def test_only_pairs_of_the_given_voxels_are_compared() -> None:
    image = make_image()
    half = VOXELS.copy()
    half[10:] = False
    other = image.coefficients.copy()
    other[10:] = 1e6
    expected = measure_roughness(replace(image, coefficients=other), half)
    assert expected == measure_roughness(image, half)
    checkerboard = np.indices(GRID).sum(axis=0) % 2 == 0
    assert np.isnan(measure_roughness(image, checkerboard))


def test_interpolated_noise_is_less_rough() -> None:
    image = make_image()
    moved = shift(image.coefficients, (0.3, 0.3, 0.3, 0), mode="nearest")
    ratio = measure_roughness(replace(image, coefficients=moved), VOXELS) / measure_roughness(
        image, VOXELS
    )
    assert ratio < 0.8


@pytest.mark.parametrize(
    ("roughness", "ratio"), [(0.8, 0.8), (1.0, 1.0), (1.7, 1.0), (2.0, 1.0), (3.0, 1.5)]
)
def test_a_scan_is_compared_with_the_range_of_the_training(roughness: float, ratio: float) -> None:
    assert compare_roughness(roughness, np.array([2.0, 1.0, 1.3])) == pytest.approx(ratio)


@pytest.mark.parametrize("usual", [[], [0.0, 1.0]])
def test_a_range_that_is_not_known_compares_with_nothing(usual: list[float]) -> None:
    assert np.isnan(compare_roughness(1.0, np.array(usual)))


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(0.7, "less noise .*0.70 times.* interpolation"), (1.4, "more noise .*1.40 times")],
)
def test_a_roughness_that_is_not_usual_is_described(ratio: float, words: str) -> None:
    assert [words] == [words for text in describe_roughness(ratio) if re.match(words, text)]


@pytest.mark.parametrize("ratio", [0.86, 1.0, 1.14, float("nan")])
def test_a_usual_roughness_is_not_worth_a_word(ratio: float) -> None:
    assert describe_roughness(ratio) == ()
