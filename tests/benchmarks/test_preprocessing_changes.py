from __future__ import annotations

from functools import partial

import nibabel as nib
import numpy as np
import pytest
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from benchmarks.preprocessing_changes import (
    Change,
    add_noise,
    cut_field_of_view,
    denoise,
    draw_motion,
    drop_directions,
    estimate_noise_level,
    interpolate_motion,
    keep_one_b0,
    leave_unchanged,
    resample_dwi,
)
from bids_shresnet.diffusion.tensors import fit_tensor_maps
from bids_shresnet.inputs.load_scan import add_mask_and_s0
from bids_shresnet.phantom.scanner import add_rician_noise
from bids_shresnet.scans import Dwi
from tests.diffusion.heads import sphere, turn

SHAPE = (14, 16, 18)
OBLIQUE = nib.affines.from_matvec(turn(4, -6, 8) @ np.diag([2.0, 2.0, 2.5]), [-12, -9, 5])
BVALS = np.array([0.0] * 3 + [1000.0] * 20)
BVECS = np.concatenate([np.zeros((3, 3)), sphere(20)])
NOISE_LEVEL = 20.0


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def ball() -> Float[np.ndarray, "x y z"]:
    """Distance from the middle of the grid, relative to the radius of a ball inside it."""
    offsets = np.moveaxis(np.indices(SHAPE), 0, -1) - (np.array(SHAPE) - 1) / 2
    return np.asarray(np.linalg.norm(offsets, axis=3) / 6)


def smooth_head(noise_level: float = 0.0) -> Dwi:
    """A ball of one fibre that turns slowly from left to right, in a dim background."""
    angles = np.linspace(0, 0.6, SHAPE[0])
    fibres = np.stack([np.cos(angles), np.sin(angles), np.zeros(SHAPE[0])], axis=1)
    cosines = fibres @ BVECS.T
    signal = np.exp(-BVALS * (0.4e-3 + 1.1e-3 * cosines**2))[:, None, None]
    data = np.broadcast_to(1000 * signal, (*SHAPE, len(BVALS))).copy()
    data[ball() > 1] = 20
    noisy = add_rician_noise(data.astype(np.float32), noise_level, np.random.default_rng(0))
    return Dwi(noisy, OBLIQUE, BVALS, BVECS)


@pytest.mark.parametrize(
    "change",
    [
        leave_unchanged,
        partial(interpolate_motion, max_degrees=0, max_mm=0),
        partial(drop_directions, share=0),
        partial(add_noise, snr_share=1),
        lambda dwi, _rng: resample_dwi(dwi, 1.0),
    ],
)
def test_a_change_of_size_zero_is_the_identity(change: Change) -> None:
    dwi = smooth_head(NOISE_LEVEL)
    changed = change(dwi, rng())
    np.testing.assert_allclose(changed.data, dwi.data, atol=0.01)
    np.testing.assert_allclose(changed.affine, dwi.affine, atol=1e-9)
    np.testing.assert_array_equal(changed.bvals, dwi.bvals)
    np.testing.assert_array_equal(changed.bvecs, dwi.bvecs)


@pytest.mark.parametrize(
    ("change", "b0s", "directions"), [(drop_directions, 3, 16), (keep_one_b0, 1, 20)]
)
def test_volumes_that_are_left_keep_their_gradients(
    change: Change, b0s: int, directions: int
) -> None:
    numbers = np.arange(len(BVALS), dtype=np.float32)
    dwi = Dwi(np.broadcast_to(numbers, (2, 2, 2, len(BVALS))), np.eye(4), BVALS, BVECS)
    changed = change(dwi, rng())
    kept = changed.data[0, 0, 0].astype(int)
    assert [changed.is_b0.sum(), (~changed.is_b0).sum()] == [b0s, directions]
    assert np.all(np.diff(kept) > 0)
    np.testing.assert_array_equal(changed.bvals, BVALS[kept])
    np.testing.assert_array_equal(changed.bvecs, BVECS[kept])


def test_denoising_leaves_less_than_half_of_the_noise() -> None:
    truth = smooth_head().data
    noisy = smooth_head(NOISE_LEVEL)
    inside = ball() < 0.7
    deviations = [(dwi.data - truth)[inside].std() for dwi in (noisy, denoise(noisy, rng()))]
    assert deviations[1] < deviations[0] / 2


def test_noise_is_added_until_the_snr_is_two_thirds() -> None:
    dwi = smooth_head(NOISE_LEVEL)
    before = estimate_noise_level(dwi)
    assert before == pytest.approx(NOISE_LEVEL, rel=0.1)
    assert estimate_noise_level(add_noise(dwi, rng())) == pytest.approx(1.5 * before, rel=0.1)


def test_a_background_of_zeros_gets_no_noise() -> None:
    dwi = smooth_head(NOISE_LEVEL)
    dwi.data[ball() > 1] = 0
    changed = add_noise(dwi, rng()).data
    np.testing.assert_array_equal(changed.any(axis=3), dwi.data.any(axis=3))


def test_a_motion_is_rigid_and_within_its_limits_in_the_world() -> None:
    dwi = smooth_head()
    voxels = draw_motion(dwi, rng(), max_degrees=1.5, max_mm=1.0)
    world = dwi.affine @ voxels @ np.linalg.inv(dwi.affine)
    middle = nib.affines.apply_affine(dwi.affine, (np.array(SHAPE) - 1) / 2)
    angles = Rotation.from_matrix(world[:3, :3]).as_euler("xyz", degrees=True)
    np.testing.assert_allclose(world[:3, :3] @ world[:3, :3].T, np.eye(3), atol=1e-9)
    assert 0.1 < np.abs(angles).max() <= 1.5
    assert 0.1 < np.abs(nib.affines.apply_affine(world, middle) - middle).max() <= 1.0


def test_motion_smooths_noise_and_keeps_the_fa_of_smooth_tissue() -> None:
    inside = ball() < 0.45
    moved = interpolate_motion(smooth_head(), rng())
    expected = fit_tensor_maps(smooth_head(), inside).fa[inside]
    np.testing.assert_allclose(fit_tensor_maps(moved, inside).fa[inside], expected, atol=0.01)
    noisy = smooth_head(NOISE_LEVEL)
    noise = [noisy.data - smooth_head().data, interpolate_motion(noisy, rng()).data - moved.data]
    variances = [part[inside].var() for part in noise]
    assert 0.4 < variances[1] / variances[0] < 0.8


def test_a_part_of_the_brain_is_cut_off_and_the_rest_stays_where_it_was() -> None:
    dwi = smooth_head()
    changed = cut_field_of_view(dwi, rng(), bottom=0.25, top=0.1)
    slices = np.flatnonzero(add_mask_and_s0(dwi, None).mask.any(axis=(0, 1)))
    offset = np.linalg.inv(dwi.affine) @ changed.affine @ [0, 0, 0, 1]
    first = round(offset[2])
    last = first + changed.shape[2] - 1
    np.testing.assert_allclose(offset, [0, 0, first, 1], atol=1e-9)
    np.testing.assert_array_equal(changed.data, dwi.data[:, :, first : last + 1])
    assert [first - slices[0], slices[-1] - last] == [
        round(share * len(slices)) for share in (0.25, 0.1)
    ]


@pytest.mark.parametrize("scale", [0.8, 1.5])
def test_a_plane_in_the_world_stays_the_same_plane_on_voxels_of_another_size(scale: float) -> None:
    def plane(affine: Float[np.ndarray, "4 4"], shape: tuple[int, ...]) -> np.ndarray:
        voxels = np.moveaxis(np.indices(shape), 0, -1)
        return np.asarray(nib.affines.apply_affine(affine, voxels) @ [1.0, -2.0, 0.5] + 500)

    values = plane(OBLIQUE, SHAPE)[..., None].astype(np.float32)
    changed = resample_dwi(Dwi(values, OBLIQUE, BVALS[:1], BVECS[:1]), scale)
    expected = plane(changed.affine, changed.shape)
    sizes = [nib.affines.voxel_sizes(affine) for affine in (OBLIQUE, changed.affine)]
    np.testing.assert_allclose(sizes[1], scale * sizes[0])
    assert np.prod(changed.shape) == pytest.approx(np.prod(SHAPE) / scale**3, rel=0.25)
    inner = (slice(4, -4),) * 3
    np.testing.assert_allclose(changed.data[..., 0][inner], expected[inner], atol=0.5)
