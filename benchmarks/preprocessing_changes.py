"""What preprocessing and acquisition change in a scan: one function for each change.

A change takes a scan in memory and the random numbers that it may need, and returns another scan.
Masks and grids are changed by functions of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import nibabel as nib
import numpy as np
from dipy.denoise.localpca import mppca
from jaxtyping import Bool, Float
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_shresnet.diffusion.harmonics import choose_sh_order
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.shells import find_shells, select_volumes
from bids_shresnet.inputs.load_scan import add_mask_and_s0
from bids_shresnet.phantom.scanner import add_rician_noise
from bids_shresnet.scans import Dwi, Shell

Change = Callable[[Dwi, np.random.Generator], Dwi]
Mask = Bool[np.ndarray, "x y z"]

PATCH_RADIUS = 2  # of MP-PCA, voxels
MEASURED_SPLINE_ORDER = 5  # stands in for a measurement, so it must blur less than eddy
EDDY_SPLINE_ORDER = 3


def leave_unchanged(dwi: Dwi, _rng: np.random.Generator) -> Dwi:
    """Return the scan itself."""
    return dwi


def denoise(dwi: Dwi, _rng: np.random.Generator) -> Dwi:
    """Remove noise by MP-PCA (Veraart et al. 2016) wherever there is signal."""
    has_signal = dwi.data.any(axis=3)
    return replace(dwi, data=mppca(dwi.data, mask=has_signal, patch_radius=PATCH_RADIUS))


def interpolate_motion(
    dwi: Dwi, rng: np.random.Generator, *, max_degrees: float = 1.5, max_mm: float = 1.0
) -> Dwi:
    """Move each volume by a random pose and back, as motion and eddy do.

    The signal is interpolated twice: of the variance of noise in voxels of 2 mm, 59 % are left, and
    66 % after eddy, which interpolates once. A b-vector that turns with the head into the pose of
    its volume is turned back by eddy, so all stay as they are.
    """
    data = np.empty_like(dwi.data)
    for number in range(len(dwi.bvals)):
        motion = draw_motion(dwi, rng, max_degrees=max_degrees, max_mm=max_mm)
        moved = _sample(dwi.data[..., number], motion, MEASURED_SPLINE_ORDER)
        data[..., number] = _sample(moved, np.linalg.inv(motion), EDDY_SPLINE_ORDER)
    return replace(dwi, data=np.maximum(data, 0))


def draw_motion(
    dwi: Dwi, rng: np.random.Generator, *, max_degrees: float, max_mm: float
) -> Float[np.ndarray, "4 4"]:
    """Draw a rotation about the middle of the grid and a shift, from voxel to voxel indices."""
    angles = rng.uniform(-max_degrees, max_degrees, 3)
    motion = np.eye(4)
    motion[:3, :3] = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    middle = nib.affines.apply_affine(dwi.affine, (np.array(dwi.shape) - 1) / 2)
    motion[:3, 3] = middle - motion[:3, :3] @ middle + rng.uniform(-max_mm, max_mm, 3)
    return np.asarray(np.linalg.inv(dwi.affine) @ motion @ dwi.affine)


def _sample(
    volume: Float[np.ndarray, "x y z"],
    matrix: Float[np.ndarray, "4 4"],
    spline_order: int,
    shape: tuple[int, ...] | None = None,
) -> Float[np.ndarray, "i j k"]:
    """Interpolate on a grid whose voxel indices the matrix brings to those of the volume."""
    return np.asarray(
        ndimage.affine_transform(
            volume, matrix, output_shape=shape, order=spline_order, mode="nearest"
        )
    )


def drop_directions(dwi: Dwi, rng: np.random.Generator, *, share: float = 0.2) -> Dwi:
    """Remove a share of the weighted volumes."""
    weighted = np.flatnonzero(~dwi.is_b0)
    dropped = rng.choice(weighted, round(share * len(weighted)), replace=False)
    return select_volumes(dwi, np.delete(np.arange(len(dwi.bvals)), dropped))


def keep_one_b0(dwi: Dwi, _rng: np.random.Generator) -> Dwi:
    """Remove all b0 volumes but the first."""
    return select_volumes(dwi, np.delete(np.arange(len(dwi.bvals)), np.flatnonzero(dwi.is_b0)[1:]))


def add_noise(dwi: Dwi, rng: np.random.Generator, *, snr_share: float = 2 / 3) -> Dwi:
    """Add so much Rician noise that the ratio of signal to noise falls to this share."""
    level = estimate_noise_level(dwi) * np.sqrt(1 / snr_share**2 - 1)
    has_signal = dwi.data.any(axis=3, keepdims=True)  # a background that was set to zero stays so
    return replace(dwi, data=add_rician_noise(dwi.data, level, rng) * has_signal)


def estimate_noise_level(dwi: Dwi) -> float:
    """Estimate the standard deviation of the noise of one value in scanner units."""
    loaded = add_mask_and_s0(dwi, None)
    shells = [
        Shell(found.bvalue, choose_sh_order(len(found.volumes))) for found in find_shells(dwi.bvals)
    ]
    variance = represent_dwi(dwi, loaded.mask, shells).noise_variance
    return float(np.median(np.sqrt(variance) * loaded.s0[loaded.mask]))


def cut_field_of_view(
    dwi: Dwi, _rng: np.random.Generator, *, bottom: float = 0.25, top: float = 0.1
) -> Dwi:
    """Leave out a share of the slices of the brain at the bottom and at the top."""
    slices = np.flatnonzero(add_mask_and_s0(dwi, None).mask.any(axis=(0, 1)))
    first = slices[round(bottom * len(slices))]
    last = slices[-1 - round(top * len(slices))]
    affine = dwi.affine @ nib.affines.from_matvec(np.eye(3), [0, 0, first])
    return replace(dwi, data=dwi.data[:, :, first : last + 1], affine=affine)


def resample_dwi(dwi: Dwi, scale: float) -> Dwi:
    """Interpolate a scan by cubic splines on voxels that are `scale` times as large."""
    zooms = scale * nib.affines.voxel_sizes(dwi.affine)
    shape = tuple(int(count / scale) for count in dwi.shape)
    affine = nib.affines.rescale_affine(dwi.affine, dwi.shape, zooms, shape)
    matrix = np.linalg.inv(dwi.affine) @ affine
    data = np.empty((*shape, len(dwi.bvals)), dwi.data.dtype)
    for number in range(len(dwi.bvals)):
        data[..., number] = _sample(dwi.data[..., number], matrix, EDDY_SPLINE_ORDER, shape)
    return replace(dwi, data=np.maximum(data, 0), affine=affine)


def leave_mask(mask: Mask) -> Mask:
    """Return the mask itself."""
    return mask


CHANGES: Mapping[str, Change] = {
    "unchanged": leave_unchanged,
    "mppca": denoise,
    "eddy": interpolate_motion,
    "dropped": drop_directions,
    "oneb0": keep_one_b0,
    "noisier": add_noise,
    "slab": cut_field_of_view,
}
MASK_CHANGES: Mapping[str, Callable[[Mask], Mask]] = {
    "mask": leave_mask,
    "smallmask": ndimage.binary_erosion,
    "largemask": partial(ndimage.binary_dilation, iterations=2),
}
GRID_SCALES: Mapping[str, float] = {"qsiprep": 1.0, "finer": 1 / 1.25, "coarser": 1.5}
