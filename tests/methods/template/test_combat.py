from __future__ import annotations

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.diffusion.spatial.template import Template
from bids_shresnet.methods.template.combat import (
    ScalarSamples,
    fit_mean_combat,
    fit_voxelwise_combat,
)

GRID = (6, 7, 5)
AFFINE = np.array([[2.0, 0, 0, -5], [0, 2, 0, 3], [0, 0, 2, 1], [0, 0, 0, 1]])
TEMPLATE = Template(np.ones((*GRID, 1), np.float32), AFFINE)
VOXELS = np.argwhere(np.ones(GRID, bool))
POSITIONS = VOXELS @ AFFINE[:3, :3].T + AFFINE[:3, 3]


def people(count: int, features: int) -> Float[np.ndarray, "n f"]:
    """FA of each person and feature on the target, feature means between 0.2 and 0.6."""
    rng = np.random.default_rng(1)
    return np.asarray(
        rng.uniform(0.2, 0.6, features) + 0.04 * rng.standard_normal((count, features))
    )


def on_source(target: Float[np.ndarray, "n f"]) -> Float[np.ndarray, "n f"]:
    """The same people on a scanner with an additive and a multiplicative effect on each feature."""
    mean = target.mean(axis=0)
    return np.asarray(mean + 1.4 * (target - mean) - 0.05)


def test_additive_and_multiplicative_effect_is_removed_from_means() -> None:
    target = people(8, 2)
    source = on_source(target)
    effect = fit_mean_combat(source, target)
    harmonized = effect.remove(source)
    np.testing.assert_allclose(harmonized.mean(axis=0), target.mean(axis=0), atol=1e-12)
    # neuroCombat's scale of the reference divides by n, that of the source by n - 1
    ratio = harmonized.std(axis=0) / target.std(axis=0)
    np.testing.assert_allclose(ratio, np.sqrt(7 / 8), rtol=1e-9)


@pytest.mark.parametrize("features", [1, 2, 5])
def test_scanners_that_agree_are_left_as_they_are_on_average(features: int) -> None:
    target = people(6, features)
    effect = fit_mean_combat(target, target)
    np.testing.assert_allclose(effect.remove(target).mean(axis=0), target.mean(axis=0), atol=1e-12)


def test_a_feature_without_scatter_is_left_as_it_is() -> None:
    target = people(6, 3)
    target[:, 1] = 0.3
    effect = fit_mean_combat(on_source(target), target)
    assert (effect.slope[1], effect.intercept[1]) == (1, 0)
    assert effect.slope[0] != 1


def test_one_subject_changes_nothing() -> None:
    target = people(1, 3)
    np.testing.assert_array_equal(fit_mean_combat(on_source(target), target).remove(target), target)


def scalar_samples(maps: Float[np.ndarray, "n f"]) -> list[ScalarSamples]:
    return [ScalarSamples(POSITIONS, scalar) for scalar in maps]


def test_effect_on_a_map_is_removed_in_a_held_out_head() -> None:
    rng = np.random.default_rng(2)
    subject_effect = 0.04 * rng.standard_normal((9, 1)) * np.ones(len(VOXELS))
    voxel_effect = 0.01 * rng.standard_normal((9, len(VOXELS)))
    target = 0.4 + subject_effect + voxel_effect
    source = target * 0.8 + 0.02
    combat = fit_voxelwise_combat(TEMPLATE, scalar_samples(source[1:]), scalar_samples(target[1:]))
    harmonized = combat.remove(source[0], POSITIONS)
    input_error = np.square(source[0] - target[0]).mean()
    assert np.square(harmonized - target[0]).mean() < 0.1 * input_error


def test_positions_that_a_subject_lacks_do_not_change() -> None:
    target = people(5, len(VOXELS))
    left = VOXELS[:, 0] < 3
    samples = scalar_samples(target)
    samples[0] = ScalarSamples(POSITIONS[left], target[0][left])
    combat = fit_voxelwise_combat(TEMPLATE, scalar_samples(on_source(target)), samples)
    far = VOXELS[:, 0] > 4
    values = np.linspace(0, 1, far.sum())
    np.testing.assert_allclose(combat.remove(values, POSITIONS[far]), values, rtol=1e-6)
    assert np.abs(combat.slope_intercept[1, ..., 1]).min() > 0


@pytest.mark.parametrize("spacing", [1.0, 5 / 3, 2.0])
def test_an_effect_is_removed_however_large_the_voxels_of_the_target_are(spacing: float) -> None:
    rng = np.random.default_rng(4)
    means = 0.4 + 0.05 * rng.standard_normal((6, 1))
    lattice = np.argwhere(np.ones((9, 9, 9), bool)) * spacing - 2
    target = [
        ScalarSamples((lattice + shift) @ AFFINE[:3, :3].T + AFFINE[:3, 3], np.full(9**3, mean[0]))
        for shift, mean in zip(rng.uniform(0, spacing, (6, 3)), means, strict=True)
    ]
    source = means * np.ones(len(VOXELS)) + 0.1
    combat = fit_voxelwise_combat(TEMPLATE, scalar_samples(source), target)
    harmonized = np.array([combat.remove(head, POSITIONS) for head in source])
    is_inside = ((VOXELS > 0) & (np.array(GRID) - 1 > VOXELS)).all(axis=1)
    np.testing.assert_allclose(harmonized.mean(axis=0)[is_inside], means.mean(), atol=1e-4)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    target = people(5, len(VOXELS))
    fit_voxelwise_combat(
        TEMPLATE, scalar_samples(on_source(target)), scalar_samples(target)
    ).remove(target[0], POSITIONS)
    fit_mean_combat(on_source(target), target).remove(target)
    assert capfd.readouterr().out == ""
