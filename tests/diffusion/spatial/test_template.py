from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.diffusion.spatial.splatting import SplattedValues
from bids_shresnet.diffusion.spatial.template import (
    Template,
    average_heads,
    brain_points,
    build_template,
    registration_contrasts,
)
from bids_shresnet.pairs import MatchedVoxels, TravellingSubject, UnharmonizedData
from bids_shresnet.scans import Shell, ShImage

GRID = (24, 26, 22)
VOXEL_MM = 4.0
AFFINE = np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0])
AFFINE[:3, 3] = -VOXEL_MM * (np.array(GRID) - 1) / 2
SHELLS = (Shell(1000.0, 2),)
BLOBS = np.random.default_rng(0).uniform(-25, 25, (12, 3))  # mm
HEIGHTS = np.random.default_rng(1).uniform(-1, 1, (12, 3))
STRETCH = np.diag([1.06, 0.95, 1.03])
SHIFT = np.array([3.0, -2.0, 4.0])


def head(stretch: Float[np.ndarray, "3 3"], shift: Float[np.ndarray, " 3"]) -> ShImage:
    """A ball of blobs, the point q of which lies at stretch q + shift."""
    world = np.argwhere(np.ones(GRID, bool)) @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    head_points = (world - shift) @ np.linalg.inv(stretch).T
    blobs = np.exp(-np.square(head_points[:, None] - BLOBS).sum(-1) / (2 * 8.0**2)) @ HEIGHTS
    mask = (np.linalg.norm(head_points, axis=1) < 38).reshape(GRID)
    maps = blobs.reshape(*GRID, 3) * mask[..., None]
    coefficients = np.zeros((*GRID, 6))
    coefficients[mask, 0] = 1.7 + 0.5 * maps[mask][:, 0]
    coefficients[mask, 3] = 0.5 + 0.4 * maps[mask][:, 1]
    return ShImage(
        coefficients.astype(np.float32),
        mask,
        AFFINE,
        SHELLS,
        (0.5 * maps[..., 2]).astype(np.float32),
    )


@cache
def reference_head() -> ShImage:
    return head(np.eye(3), np.zeros(3))


@cache
def moved_head() -> ShImage:
    return head(STRETCH, SHIFT)


@cache
def template() -> Template:
    """Template of two equal heads."""
    return build_template([reference_head(), reference_head()])


def test_contrasts_are_closed_forms_and_zero_outside() -> None:
    image = reference_head()
    contrasts = registration_contrasts(image)
    s0, anisotropy, mean_signal = np.stack(contrasts)[:, image.mask]
    inside = image.coefficients[image.mask]
    np.testing.assert_allclose(np.log(s0), image.contrast[image.mask], atol=1e-6)
    np.testing.assert_allclose(
        anisotropy, np.minimum(np.abs(inside[:, 3]) / inside[:, 0], 1), rtol=1e-5
    )
    np.testing.assert_allclose(mean_signal, inside[:, 0] / np.sqrt(4 * np.pi), rtol=1e-6)
    assert not np.stack(contrasts)[:, ~image.mask].any()


def test_the_template_of_one_head_twice_is_that_head() -> None:
    image = reference_head()
    for mean, head_points in zip(
        np.moveaxis(template().contrasts, -1, 0), registration_contrasts(image), strict=True
    ):
        assert np.corrcoef(mean[image.mask], head_points[image.mask])[0, 1] > 0.98


def test_a_head_of_another_size_and_pose_is_located_within_half_a_voxel() -> None:
    points = brain_points(moved_head())
    truth = (points - SHIFT) @ np.linalg.inv(STRETCH).T
    inner = np.linalg.norm(truth, axis=1) < 30  # where there is something to see
    errors = np.linalg.norm(template().locate(moved_head(), points) - truth, axis=1)[inner]
    assert errors.mean() < VOXEL_MM / 2


@pytest.mark.slow
def test_a_travelling_subject_is_placed_as_its_points_are_located() -> None:
    brain = brain_points(moved_head())
    count = 5
    matched = MatchedVoxels(
        patches=np.zeros((count, 27, 7), np.float16),
        signal=np.zeros((count, 8), np.float16),
        bvals=np.full(8, 1000.0),
        bvecs=np.zeros((8, 3)),
        sh_matrix=np.zeros((8, 6), np.float32),
        noise_variance=np.zeros(count, np.float32),
        source_s0=np.ones(count, np.float32),
        points=brain[10 : 10 + count] + 0.5,
        tissue=np.ones(count, np.uint8),
    )
    unharmonized = UnharmonizedData(
        np.zeros((count, 6)),
        source_maps=np.zeros((*GRID, 2)),
        target_maps=np.zeros((count, 2)),
        target_tensor_bvals=np.zeros(1),
    )
    coefficients = moved_head().coefficients[moved_head().mask]
    template_positions = template().locate_subject(
        TravellingSubject(moved_head(), matched, unharmonized, coefficients)
    )
    np.testing.assert_array_equal(template_positions.brain, template().locate(moved_head(), brain))
    np.testing.assert_array_equal(
        template_positions.matched, template().locate(moved_head(), matched.points)
    )


def test_two_heads_are_averaged_where_they_correspond() -> None:
    both = build_template([reference_head(), moved_head()])
    plain = np.mean(
        [registration_contrasts(image) for image in (reference_head(), moved_head())], axis=0
    )
    first = registration_contrasts(
        reference_head()
    )  # of less volume, so the other is brought to it
    inside = reference_head().mask & moved_head().mask
    for number in range(3):
        registered = np.corrcoef(both.contrasts[inside][:, number], first[number][inside])[0, 1]
        assert registered > np.corrcoef(plain[number][inside], first[number][inside])[0, 1]
        assert registered > 0.97


def test_values_splatted_at_positions_are_interpolated_there() -> None:
    image = reference_head()
    positions = brain_points(image)
    splatted = template().to_grid(positions, positions)  # a linear field: the position
    inner = np.linalg.norm(positions, axis=1) < 28
    np.testing.assert_allclose(
        template().interpolate(splatted.grid, positions)[inner], positions[inner], atol=1e-3
    )


def test_the_mean_over_heads_is_over_those_that_reach_a_voxel() -> None:
    first = np.full((2, 1, 1, 1), 1.0, np.float32)
    second = np.full((2, 1, 1, 1), 3.0, np.float32)
    second[1] = 0
    first_mask = np.ones((2, 1, 1), bool)
    second_mask = np.array([True, False]).reshape(2, 1, 1)
    mean = average_heads([SplattedValues(first, first_mask), SplattedValues(second, second_mask)])
    np.testing.assert_array_equal(mean.grid.ravel(), [2, 1])
    np.testing.assert_array_equal(mean.mask, first_mask)


def test_a_template_comes_back_from_its_arrays() -> None:
    again = Template.from_arrays(template().arrays())
    assert again.contrasts.tobytes() == template().contrasts.tobytes()
    assert again.affine.tobytes() == template().affine.tobytes()
