from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from jaxtyping import Float

from bids_shresnet.diffusion.gradients import rotate_bvecs
from bids_shresnet.diffusion.spatial.registration import Correspondence, register_images
from bids_shresnet.phantom.anatomy import SmoothField
from bids_shresnet.phantom.head import HEAD_CENTRE_MM, PhantomSession, simulate_dwi
from bids_shresnet.phantom.scanner import PhantomScanner
from bids_shresnet.phantom.tracts import tract_directions
from tests.diffusion.heads import NOBODY, atlas, lay_down, turn

pytestmark = pytest.mark.slow

SCANNER = PhantomScanner(
    {}, directions=6, table_seed=3, b0_count=1, te_ms=80.0, psf_mm=3.0, snr=30.0
)
POSE = turn(6, -4, 5)
SHIFT = np.array([3.0, -5.0, 4.0])
STILL_HEAD = lay_down(5.0)


@dataclass(frozen=True)
class SimulatedScan:
    """Contrasts to register, S0 and the mean S/S0 of the brain, and their grid."""

    contrasts: Sequence[Float[np.ndarray, "x y z"]]
    affine: Float[np.ndarray, "4 4"]


def simulate_scan(session: PhantomSession, seed: int) -> SimulatedScan:
    tissue = session.compute_tissue(atlas(), NOBODY)
    data = simulate_dwi(tissue, SCANNER, session, np.random.default_rng(seed)).data
    s0 = np.where(tissue.brain_mask, data[..., 0], 0)
    attenuation = data[..., 1:].mean(axis=-1) / np.maximum(s0, 1)
    return SimulatedScan((s0, np.where(tissue.brain_mask, attenuation, 0)), session.affine)


def store_and_read(scan: SimulatedScan) -> SimulatedScan:
    """Store a scan in LAS order and read it in RAS order again."""
    stored_affine = scan.affine @ np.diag([-1.0, 1, 1, 1])
    stored_affine[:3, 3] = (scan.affine @ [scan.contrasts[0].shape[0] - 1, 0, 0, 1])[:3]
    assert nib.aff2axcodes(stored_affine) == ("L", "A", "S")
    images = [nib.Nifti1Image(contrast[::-1], stored_affine) for contrast in scan.contrasts]
    read_images = [nib.as_closest_canonical(image) for image in images]
    contrasts = [np.asarray(image.dataobj) for image in read_images]
    return SimulatedScan(contrasts, np.asarray(read_images[0].affine))


def brain_points(session: PhantomSession) -> Float[np.ndarray, "p 3"]:
    """Every 50th voxel of the brain, in world mm."""
    brain_mask = session.compute_tissue(atlas(), NOBODY).brain_mask
    return np.asarray(session.voxel_positions[brain_mask][::50], dtype=np.float64)


def register_scans(
    fixed: SimulatedScan, moving: SimulatedScan, points: Float[np.ndarray, "p 3"], **options: Any
) -> Correspondence:
    return register_images(
        fixed.contrasts, fixed.affine, moving.contrasts, moving.affine, points, **options
    )


def register_rigidly(
    fixed: SimulatedScan, moving: SimulatedScan, points: Float[np.ndarray, "p 3"]
) -> Correspondence:
    return register_scans(fixed, moving, points, is_deformable=False)


def move_points(
    points: Float[np.ndarray, "p 3"], fixed: PhantomSession, moving: PhantomSession
) -> Float[np.ndarray, "p 3"]:
    """True positions in the other scan of points of an undistorted head."""
    head = (points - HEAD_CENTRE_MM - fixed.shift) @ fixed.rotation + HEAD_CENTRE_MM
    truth = (head - HEAD_CENTRE_MM) @ moving.rotation.T + HEAD_CENTRE_MM + moving.shift
    phase_axis = moving.affine[:3, 1] / moving.voxel_mm
    positions = truth
    for _ in range(20):  # a point at w + d(w) appears at w
        positions = truth - moving.distortion.evaluate(positions)[:, None] * phase_axis
    return np.asarray(positions)


def mean_distance(points: Float[np.ndarray, "p 3"], truth: Float[np.ndarray, "p 3"]) -> float:
    return float(np.linalg.norm(points - truth, axis=1).mean())


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
    result = register_rigidly(simulate_scan(fixed, 1), simulate_scan(moving, 2), points)
    true_rotation = moving.rotation @ fixed.rotation.T
    assert degrees(result.rotation @ true_rotation.T) < 0.5
    assert mean_distance(result.points, move_points(points, fixed, moving)) < 0.5


def test_pose_does_not_depend_on_how_the_file_was_stored() -> None:
    moving = lay_down(5.0, rotation=POSE, shift=SHIFT)
    points = brain_points(STILL_HEAD)
    moving_scan = store_and_read(simulate_scan(moving, 2))
    result = register_rigidly(simulate_scan(STILL_HEAD, 1), moving_scan, points)
    assert degrees(result.rotation @ POSE.T) < 0.5
    assert mean_distance(result.points, move_points(points, STILL_HEAD, moving)) < 0.5


def test_rotation_turns_the_fixed_heads_fibres_into_the_moving_heads() -> None:
    fixed = lay_down(5.0, rotation=turn(-8, 0, 6))
    moving = lay_down(5.0, rotation=turn(6, -10, 9))
    rotation = register_rigidly(
        simulate_scan(fixed, 1), simulate_scan(moving, 2), brain_points(fixed)
    ).rotation
    head_points = np.array([[10.0, -20, 20], [30, 10, 0], [-20, 0, 40]])
    fibres = tract_directions(head_points).reshape(-1, 3)
    rotated = rotate_bvecs(fibres @ fixed.rotation.T, rotation)
    cosines = (rotated * (fibres @ moving.rotation.T)).sum(axis=1)
    assert np.degrees(np.arccos(np.clip(cosines, -1, 1))).max() < 0.5
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)


def test_affine_stage_finds_how_one_head_is_larger_than_another() -> None:
    larger = np.diag([1.1, 0.94, 1.05, 1.0])
    larger[:3, 3] = SHIFT
    points = brain_points(STILL_HEAD)
    head = simulate_scan(STILL_HEAD, 2)
    larger_head = SimulatedScan(head.contrasts, larger @ head.affine)
    result = register_scans(
        simulate_scan(STILL_HEAD, 1),
        larger_head,
        points,
        linear_type="Affine",
        is_deformable=False,
    )
    np.testing.assert_allclose(result.rotation, larger[:3, :3], atol=0.01)
    assert mean_distance(result.points, nib.affines.apply_affine(larger, points)) < 0.5


def test_same_image_twice_is_the_identity() -> None:
    points = brain_points(STILL_HEAD)
    scan = simulate_scan(STILL_HEAD, 1)
    result = register_rigidly(scan, scan, points)
    assert degrees(result.rotation) < 0.1
    assert np.linalg.norm(result.points - points, axis=1).max() < 0.2


def test_deformation_moves_an_undeformed_head_by_less_than_a_fifth_of_a_voxel() -> None:
    points = brain_points(STILL_HEAD)
    result = register_scans(simulate_scan(STILL_HEAD, 1), simulate_scan(STILL_HEAD, 2), points)
    assert mean_distance(result.points, points) < 0.2 * STILL_HEAD.voxel_mm


def test_deformation_brings_distorted_points_closer_and_is_the_same_every_time() -> None:
    distortion = SmoothField.draw(np.random.default_rng(5), 5.0, length_mm=40.0)
    moving = replace(lay_down(5.0, rotation=POSE, shift=SHIFT), distortion=distortion)
    points = brain_points(STILL_HEAD)
    scans = (simulate_scan(STILL_HEAD, 1), simulate_scan(moving, 2))
    rigid = register_rigidly(*scans, points)
    deformable = register_scans(*scans, points)
    repeated = register_scans(*scans, points)
    truth = move_points(points, STILL_HEAD, moving)
    assert mean_distance(deformable.points, truth) < 0.6 * mean_distance(rigid.points, truth)
    assert deformable.points.tobytes() == repeated.points.tobytes()
    assert deformable.rotation.tobytes() == repeated.rotation.tobytes()


def test_points_may_lie_between_voxels_and_may_be_none() -> None:
    scan = simulate_scan(STILL_HEAD, 1)
    points = brain_points(STILL_HEAD) + 1.7
    np.testing.assert_allclose(register_rigidly(scan, scan, points).points, points, atol=0.2)
    assert register_rigidly(scan, scan, np.empty((0, 3))).points.shape == (0, 3)
