"""Scans for tests: a few voxels in closed form, and the phantom's head in a known pose."""

from __future__ import annotations

from functools import cache

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from bids_shresnet.phantom.anatomy import Person, SmoothField
from bids_shresnet.phantom.atlas import Atlas, build_atlas, read_atlas_maps
from bids_shresnet.phantom.head import FIELD_OF_VIEW_MM, HEAD_CENTRE_MM, PhantomSession
from bids_shresnet.scans import Dwi
from tests.datasets import spiral

STILL = SmoothField(np.zeros((1, 3)), np.zeros(1), 0.0)
NOBODY = Person((STILL, STILL, STILL), STILL, STILL, STILL, (1.0, 1.0, 1.0))  # the atlas itself
NO_TURN = np.eye(3)
NO_SHIFT = np.zeros(3)


@cache
def atlas() -> Atlas:
    return build_atlas(read_atlas_maps())


def turn(x: float, y: float, z: float) -> Float[np.ndarray, "3 3"]:
    """Rotation about the world's axes, in degrees."""
    return np.asarray(Rotation.from_euler("xyz", [x, y, z], degrees=True).as_matrix())


def lay_down(
    voxel_mm: float,
    *,
    tilt: Float[np.ndarray, "3 3"] = NO_TURN,
    rotation: Float[np.ndarray, "3 3"] = NO_TURN,
    shift: Float[np.ndarray, " 3"] = NO_SHIFT,
    distortion: SmoothField = STILL,
) -> PhantomSession:
    """Lay a head on a grid: `tilt` turns the grid, `rotation` and `shift` move the head."""
    shape = np.ceil(FIELD_OF_VIEW_MM / voxel_mm).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = tilt * voxel_mm
    affine[:3, 3] = HEAD_CENTRE_MM - affine[:3, :3] @ ((shape - 1) / 2)
    return PhantomSession(
        (int(shape[0]), int(shape[1]), int(shape[2])), affine, rotation, shift, distortion
    )


def make_dwi(
    relative: Float[np.ndarray, "x y z d"],
    bvals: Float[np.ndarray, " d"],
    bvecs: Float[np.ndarray, "d 3"],
    s0: Float[np.ndarray, "x y z"] | float = 1000.0,
) -> Dwi:
    """Make a DWI of one b0 volume and S/S0 = `relative`."""
    b0 = np.broadcast_to(np.asarray(s0, np.float32), relative.shape[:3])[..., None]
    data = np.concatenate([b0, b0 * relative], axis=3).astype(np.float32)
    return Dwi(
        data=data,
        affine=np.eye(4),
        bvals=np.concatenate([[0.0], bvals]),
        bvecs=np.concatenate([np.zeros((1, 3)), bvecs]),
    )


def sphere(count: int) -> Float[np.ndarray, "count 3"]:
    """Spread unit vectors, each second one flipped, so that both half spheres are in use."""
    return np.asarray(spiral(count) * np.where(np.arange(count) % 2, -1, 1)[:, None])
