from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.spatial.regional_power import match_regions, measure_log_ratios
from bids_shresnet.scans import Shell, ShImage

GRID = (30, 24, 24)
AFFINE = np.diag([3.0, 3.0, 3.0, 1.0])
SHELLS = (Shell(1000.0, 2), Shell(2000.0, 2))
GROUPS = (slice(1, 6), slice(7, 12))
MASK = np.ones(GRID, bool)
WEAK = np.indices(GRID).sum(axis=0) % 3 == 0  # grey and white matter, mixed finely
LENGTHS = np.where(WEAK, 0.05, 0.3)
USUAL = np.zeros((2, 2))


def coefficients(lengths: Float[np.ndarray, "x y z"]) -> Float[np.ndarray, "v c"]:
    """Order 2 of these lengths in both shells, in directions that differ from voxel to voxel."""
    values = np.random.default_rng(1).standard_normal((*GRID, 12))
    for group in GROUPS:
        values[..., group] *= (lengths / np.linalg.norm(values[..., group], axis=-1))[..., None]
    return np.asarray(values[MASK])


def scan(lengths: Float[np.ndarray, "x y z"], known: Bool[np.ndarray, "x y z"] = MASK) -> ShImage:
    """A scan whose order 2 has these lengths, as measured where it is known."""
    power = np.where(known, np.square(lengths), np.nan)
    return ShImage(
        coefficients=np.zeros((*GRID, 12)),
        mask=MASK,
        affine=AFFINE,
        shells=SHELLS,
        contrast=np.zeros(GRID),
        order_2_power=np.stack([power, power], axis=-1),
    )


def matched_lengths(
    predicted: Float[np.ndarray, "x y z"], image: ShImage, usual: Float[np.ndarray, "s 2"] = USUAL
) -> Float[np.ndarray, "x y z"]:
    """Lengths of order 2 of the second shell, of a prediction that is matched to a scan."""
    matched = match_regions(coefficients(predicted), image, GROUPS, usual)
    return np.asarray(np.linalg.norm(matched[:, GROUPS[1]], axis=1).reshape(GRID))


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.3])
def test_a_scan_with_the_usual_ratios_is_harmonized_as_predicted(ratio: float) -> None:
    image = scan(LENGTHS * ratio)
    usual = measure_log_ratios(coefficients(LENGTHS), image, GROUPS)
    np.testing.assert_allclose(usual, np.log(ratio), rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(matched_lengths(LENGTHS, image, usual), LENGTHS, rtol=1e-6)


@pytest.mark.parametrize("factor", [0.7, 1.1])
def test_a_change_of_the_whole_scan_passes_whatever_the_prediction_makes_of_it(
    factor: float,
) -> None:
    image = scan(LENGTHS * factor)
    for seen in (1.0, factor, 0.9):
        lengths = matched_lengths(LENGTHS * seen, image)
        np.testing.assert_allclose(lengths, LENGTHS * factor, rtol=1e-6)


def test_a_change_of_one_tissue_changes_it_and_hardly_the_other() -> None:
    image = scan(np.where(WEAK, 0.8, 1) * LENGTHS)
    ratio = matched_lengths(LENGTHS, image) / LENGTHS
    np.testing.assert_allclose(ratio[WEAK], 0.8, atol=0.03)
    np.testing.assert_allclose(ratio[~WEAK], 1, atol=0.02)


def test_a_wide_change_passes_and_a_narrow_one_does_not() -> None:
    """Waves along the first axis, of 360 and of 6 mm."""
    x = 3.0 * np.arange(GRID[0])[:, None, None]
    waves = {length: 1 + 0.1 * np.cos(2 * np.pi * x / length) for length in (360.0, 6.0)}
    ratios = {
        length: matched_lengths(LENGTHS, scan(LENGTHS * wave)) / LENGTHS
        for length, wave in waves.items()
    }
    inside = (slice(6, -6), *[slice(None)] * 2)
    np.testing.assert_allclose(
        ratios[360.0][inside], np.broadcast_to(waves[360.0], GRID)[inside], rtol=0.02
    )
    np.testing.assert_allclose(ratios[6.0][inside], 1, atol=0.02)


@pytest.mark.parametrize(("width_mm", "share"), [(20, 0.77), (60, 0.93)])
def test_a_slab_of_centimetres_passes_in_part(width_mm: int, share: float) -> None:
    """Shares are of the mean change inside."""
    grid = (52, 12, 12)
    inside = np.zeros(grid, bool)
    first = (grid[0] - width_mm // 3) // 2
    inside[first : first + width_mm // 3] = True
    power = np.full((*grid, 1), 0.3**2)
    power[inside] *= 0.8**2
    image = replace(
        scan(LENGTHS),
        mask=np.ones(grid, bool),
        shells=SHELLS[:1],
        order_2_power=power,
        coefficients=np.zeros((*grid, 6)),
        contrast=np.zeros(grid),
    )
    predicted = np.zeros((inside.size, 6))
    predicted[:, 1] = 0.3
    matched = match_regions(predicted, image, GROUPS[:1], USUAL[:1])[:, 1].reshape(grid)
    assert (1 - matched[inside].mean() / 0.3) / 0.2 == pytest.approx(share, abs=0.05)


def test_a_voxel_of_unknown_power_is_of_the_tissue_that_is_predicted() -> None:
    known = MASK.copy()
    known[:, :, 12] = False
    lengths = matched_lengths(LENGTHS, scan(np.where(WEAK, 0.8, 1) * LENGTHS, known))
    plane = (lengths / LENGTHS)[:, :, 12]
    np.testing.assert_allclose(plane[~WEAK[:, :, 12]], 1, atol=0.03)


def test_factors_are_limited_where_noise_was_overestimated() -> None:
    image = scan(LENGTHS)
    assert image.order_2_power is not None
    image.order_2_power[...] = -0.01
    np.testing.assert_allclose(matched_lengths(LENGTHS, image), LENGTHS / 2, rtol=1e-6)


def test_noise_averages_out() -> None:
    """Single voxels measure negative powers, too."""
    noise = np.random.default_rng(2).normal(0, 0.005, GRID)  # twice the power of grey matter
    image = scan(LENGTHS)
    assert image.order_2_power is not None
    image.order_2_power[...] += noise[..., None]
    ratio = matched_lengths(LENGTHS, image) / LENGTHS
    inside = (slice(6, -6),) * 3  # fewer voxels count at an edge
    weak = ratio[inside][WEAK[inside]]
    assert weak.mean() == pytest.approx(1, abs=0.08)
    assert weak.std() < 0.08
    np.testing.assert_allclose(ratio[inside][~WEAK[inside]], 1, atol=0.02)


def test_only_voxels_of_known_power_count() -> None:
    """Beyond the reach of the average, predictions stay."""
    known = MASK.copy()
    known[15:] = False
    lengths = matched_lengths(LENGTHS, scan(LENGTHS * 0.8, known))
    np.testing.assert_allclose(lengths[:15], LENGTHS[:15] * 0.8, rtol=1e-6)
    np.testing.assert_allclose(lengths[-4:], LENGTHS[-4:], rtol=1e-6)


def test_other_orders_stay() -> None:
    before = coefficients(LENGTHS)
    after = match_regions(before, scan(LENGTHS * 0.8), GROUPS, USUAL)
    np.testing.assert_array_equal(after[:, [0, 6]], before[:, [0, 6]])


def test_a_voxel_without_a_neighbourhood_does_not_hide_the_ratio_of_the_scan() -> None:
    """Around a voxel that is predicted to be isotropic, there may be no strong tissue at all."""
    known = MASK.copy()
    known[8:] = False
    known[-1, -1, -1] = True
    image = replace(scan(LENGTHS * 0.8, known), affine=np.diag([12.0, 12.0, 12.0, 1.0]))
    predicted = LENGTHS.copy()
    predicted[-1, -1, -1] = 0
    ratios = measure_log_ratios(coefficients(predicted), image, GROUPS)
    np.testing.assert_allclose(ratios, np.log(0.8), atol=0.01)


def test_without_any_known_power_there_is_no_ratio() -> None:
    image = scan(LENGTHS, ~MASK)
    assert np.isnan(measure_log_ratios(coefficients(LENGTHS), image, GROUPS)).all()
    np.testing.assert_allclose(matched_lengths(LENGTHS, image), LENGTHS, rtol=1e-6)
