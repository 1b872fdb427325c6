from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.diffusion.gradients import rotate_bvecs
from bids_shresnet.diffusion.registration import register_images
from bids_shresnet.phantom.anatomy import SmoothField
from bids_shresnet.phantom.head import HEAD_CENTRE_MM, PhantomSession, simulate_dwi
from bids_shresnet.phantom.scanner import PhantomScanner
from bids_shresnet.phantom.tracts import tract_directions
from tests.diffusion.heads import NOBODY, atlas, lay_down, turn

pytestmark = pytest.mark.slow

SCANNER = PhantomScanner(
    {}, directions=6, table_seed=3, b0_count=1, te_ms=80.0, psf_mm=3.0, snr=30.0
)
POSE, SHIFT = turn(6, -4, 5), np.array([3.0, -5.0, 4.0])
STILL_HEAD = lay_down(5.0)


@dataclass(frozen=True)
class Seen:
    """What registration sees of a scan: S0 and the mean S/S0 of the brain, and the grid."""

    contrasts: Sequence[Float[np.ndarray, "x y z"]]
    affine: Float[np.ndarray, "4 4"]


def see(session: PhantomSession, seed: int) -> Seen:
    tissue = session.compute_tissue(atlas(), NOBODY)
    data = simulate_dwi(tissue, SCANNER, session, np.random.default_rng(seed)).data
    s0 = np.where(tissue.brain_mask, data[..., 0], 0)
    return Seen(
        (s0, np.where(tissue.brain_mask, data[..., 1:].mean(axis=-1) / np.maximum(s0, 1), 0)),
        session.affine,
    )


def canonicalized(seen: Seen) -> Seen:
    """The same scan, stored from left to right and back, as files are that come in LAS order."""
    stored = seen.affine @ np.diag([-1.0, 1, 1, 1])
    stored[:3, 3] = (seen.affine @ [seen.contrasts[0].shape[0] - 1, 0, 0, 1])[:3]
    images = [nib.Nifti1Image(contrast[::-1], stored) for contrast in seen.contrasts]
    assert nib.aff2axcodes(stored) == ("L", "A", "S")
    read = [nib.as_closest_canonical(image) for image in images]
    return Seen([np.asarray(image.dataobj) for image in read], np.asarray(read[0].affine))


def brain_points(session: PhantomSession) -> Float[np.ndarray, "p 3"]:
    """Every 50th voxel of the brain, in world mm."""
    return np.asarray(
        session.voxel_positions[session.compute_tissue(atlas(), NOBODY).brain_mask][::50],
        dtype=np.float64,
    )


def carried(
    points: Float[np.ndarray, "p 3"], fixed: PhantomSession, moving: PhantomSession
) -> Float[np.ndarray, "p 3"]:
    """Where the points of one head lie in the other scan; for a fixed head that is not distorted."""
    head = (points - HEAD_CENTRE_MM - fixed.shift) @ fixed.rotation + HEAD_CENTRE_MM
    truth = (head - HEAD_CENTRE_MM) @ moving.rotation.T + HEAD_CENTRE_MM + moving.shift
    seen = truth
    for _ in range(20):  # the head is seen at w where w + d(w) is its place
        seen = (
            truth
            - moving.distortion.evaluate(seen)[:, None] * moving.affine[:3, 1] / moving.voxel_mm
        )
    return np.asarray(seen)


def degrees(rotation: Float[np.ndarray, "3 3"]) -> float:
    return float(np.degrees(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))))


@pytest.mark.parametrize(
    ("fixed", "moving"),
    [
        pytest.param(STILL_HEAD, lay_down(5.0, rotation=POSE, shift=SHIFT), id="one-grid"),
        pytest.param(STILL_HEAD, lay_down(4.0, rotation=POSE, shift=SHIFT), id="other-voxel-size"),
        pytest.param(
            lay_down(4.0, rotation=POSE.T), lay_down(5.0, shift=SHIFT), id="turned-fixed-head"
        ),
        pytest.param(
            lay_down(4.0, tilt=turn(12, 0, -8)),
            lay_down(4.0, rotation=POSE, shift=SHIFT),
            id="oblique-fixed",
        ),
        pytest.param(
            lay_down(4.0),
            lay_down(4.0, tilt=turn(10, -6, 4), rotation=POSE, shift=SHIFT),
            id="oblique-moving",
        ),
    ],
)
def test_known_pose_comes_back_within_half_a_degree_and_half_a_millimetre(
    fixed: PhantomSession, moving: PhantomSession
) -> None:
    points = brain_points(fixed)
    one, other = see(fixed, 1), see(moving, 2)
    found = register_images(
        one.contrasts, one.affine, other.contrasts, other.affine, points, is_deformable=False
    )
    assert degrees(found.rotation @ (moving.rotation @ fixed.rotation.T).T) < 0.5
    assert np.linalg.norm(found.points - carried(points, fixed, moving), axis=1).mean() < 0.5


def test_pose_does_not_depend_on_how_the_file_was_stored() -> None:
    moving = lay_down(5.0, rotation=POSE, shift=SHIFT)
    points = brain_points(STILL_HEAD)
    one, other = see(STILL_HEAD, 1), canonicalized(see(moving, 2))
    found = register_images(
        one.contrasts, one.affine, other.contrasts, other.affine, points, is_deformable=False
    )
    assert degrees(found.rotation @ POSE.T) < 0.5
    assert np.linalg.norm(found.points - carried(points, STILL_HEAD, moving), axis=1).mean() < 0.5


def test_rotation_turns_the_fixed_heads_fibres_into_the_moving_heads() -> None:
    fixed, moving = lay_down(5.0, rotation=turn(-8, 0, 6)), lay_down(5.0, rotation=turn(6, -10, 9))
    one, other = see(fixed, 1), see(moving, 2)
    found = register_images(
        one.contrasts,
        one.affine,
        other.contrasts,
        other.affine,
        brain_points(fixed),
        is_deformable=False,
    )
    fibres = tract_directions(np.array([[10.0, -20, 20], [30, 10, 0], [-20, 0, 40]])).reshape(-1, 3)
    here, there = fibres @ fixed.rotation.T, fibres @ moving.rotation.T
    angles = np.degrees(
        np.arccos(np.clip((rotate_bvecs(here, found.rotation) * there).sum(axis=1), -1, 1))
    )
    assert angles.max() < 0.5
    np.testing.assert_allclose(found.rotation @ found.rotation.T, np.eye(3), atol=1e-6)


def test_affine_stage_finds_how_one_head_is_larger_than_another() -> None:
    larger = np.diag([1.1, 0.94, 1.05, 1.0])
    larger[:3, 3] = SHIFT
    points = brain_points(STILL_HEAD)
    one, other = see(STILL_HEAD, 1), see(STILL_HEAD, 2)
    found = register_images(
        one.contrasts,
        one.affine,
        other.contrasts,
        larger @ other.affine,
        points,
        linear_type="Affine",
        is_deformable=False,
    )
    np.testing.assert_allclose(found.rotation, larger[:3, :3], atol=0.01)
    truth = nib.affines.apply_affine(larger, points)
    assert np.linalg.norm(found.points - truth, axis=1).mean() < 0.5


def test_same_image_twice_is_the_identity() -> None:
    points = brain_points(STILL_HEAD)
    seen = see(STILL_HEAD, 1)
    found = register_images(
        seen.contrasts, seen.affine, seen.contrasts, seen.affine, points, is_deformable=False
    )
    assert degrees(found.rotation) < 0.1
    assert np.linalg.norm(found.points - points, axis=1).max() < 0.2


def test_deformation_leaves_what_is_not_deformed_within_a_fifth_of_a_voxel() -> None:
    points = brain_points(STILL_HEAD)
    one, other = see(STILL_HEAD, 1), see(STILL_HEAD, 2)
    found = register_images(one.contrasts, one.affine, other.contrasts, other.affine, points)
    assert np.linalg.norm(found.points - points, axis=1).mean() < 0.2 * STILL_HEAD.voxel_mm


def test_deformation_brings_distorted_points_closer_and_is_the_same_every_time() -> None:
    distortion = SmoothField.draw(np.random.default_rng(5), 5.0, length_mm=40.0)
    moving = replace(lay_down(5.0, rotation=POSE, shift=SHIFT), distortion=distortion)
    points = brain_points(STILL_HEAD)
    one, other = see(STILL_HEAD, 1), see(moving, 2)
    stiff = register_images(
        one.contrasts, one.affine, other.contrasts, other.affine, points, is_deformable=False
    )
    soft, again = (
        register_images(one.contrasts, one.affine, other.contrasts, other.affine, points)
        for _ in range(2)
    )
    errors = [
        np.linalg.norm(found.points - carried(points, STILL_HEAD, moving), axis=1).mean()
        for found in (stiff, soft)
    ]
    assert errors[1] < 0.6 * errors[0]
    assert soft.points.tobytes() == again.points.tobytes()
    assert soft.rotation.tobytes() == again.rotation.tobytes()


def test_points_need_not_be_voxels_and_no_point_is_no_error() -> None:
    seen = see(STILL_HEAD, 1)
    between = brain_points(STILL_HEAD) + 1.7
    images = seen.contrasts, seen.affine, seen.contrasts, seen.affine
    np.testing.assert_allclose(
        register_images(*images, between, is_deformable=False).points, between, atol=0.2
    )
    assert register_images(*images, np.empty((0, 3)), is_deformable=False).points.shape == (0, 3)
