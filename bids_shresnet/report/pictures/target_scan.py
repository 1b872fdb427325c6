"""The target's scan of a head, sampled at the voxels of the source scan, without interpolation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int
from nibabel.affines import apply_affine

from bids_shresnet.diffusion.attenuation import mean_b0
from bids_shresnet.diffusion.gradients import rotate_bvecs
from bids_shresnet.diffusion.shells import find_shell_volumes
from bids_shresnet.diffusion.spatial.registration import register_images
from bids_shresnet.errors import BadInput, InputMissing
from bids_shresnet.inputs.load_scan import LoadedScan, load_scan
from bids_shresnet.report.pictures.dwi_view import DwiView, select_voxels, view_dwi
from bids_shresnet.report.pictures.slices import SliceLayout
from bids_shresnet.scans import Dwi, Scan, Shell

NO_TARGET = "The subject has no usable scan of the target scanner, so there is nothing to compare."
NOT_REGISTERED = "The scan of the target scanner could not be registered to this one."


@dataclass(frozen=True)
class TargetView:
    """The target's scan at the voxels of the source scan that it measured.

    Attributes
    ----------
    measured_mask
        True for the voxels of `SliceLayout.shown_mask` that the target measured.
    """

    view: DwiView
    measured_mask: Bool[np.ndarray, " v"]


def view_target_scan(
    scan: Scan | None,
    dwi: Dwi,
    layout: SliceLayout,
    shells: tuple[Shell, ...],
    direction: Float[np.ndarray, " 3"],
) -> tuple[TargetView | None, str]:
    """Sample the target's scan at the voxels of another scan of the same head.

    Parameters
    ----------
    scan
        The target's scan, if there is one.
    dwi, layout
        The other scan.
    shells
        Shells of the target.
    direction
        Direction of the volume to show, along the world axes of the other scan.

    Returns
    -------
    tuple
        The view, and an empty text; or None, and a sentence that says why there is no view.
    """
    if scan is None:
        return None, NO_TARGET
    try:
        find_shell_volumes(np.array(scan.bvals), shells)
    except ValueError as error:
        return None, f"The scan of the target scanner is another measurement: {error}."
    try:
        target = load_scan(scan)
    except (BadInput, InputMissing) as error:
        return None, f"The scan of the target scanner cannot be used: {error}"
    view = _sample_target(target, dwi, layout, shells, direction)
    return (view, "") if view else (None, NOT_REGISTERED)


def _sample_target(
    target: LoadedScan,
    dwi: Dwi,
    layout: SliceLayout,
    shells: tuple[Shell, ...],
    direction: Float[np.ndarray, " 3"],
) -> TargetView | None:
    """Register rigidly and take the nearest voxels, so that measured values are shown.

    The result is None if the scans do not overlap.
    """
    voxels, rotation = _nearest_voxels(target, dwi, layout)
    is_inside = (voxels >= 0) & (voxels < target.mask.shape)
    is_measured = np.asarray(is_inside.all(axis=1))
    is_measured[is_measured] = target.mask[tuple(voxels[is_measured].T)]
    if not is_measured.any():
        return None
    flat_indices = np.ravel_multi_index(tuple(voxels[is_measured].T), target.mask.shape)
    unique_indices, positions = np.unique(flat_indices, return_inverse=True)
    mask = np.zeros(target.mask.size, dtype=bool)
    mask[unique_indices] = True
    target_direction = rotate_bvecs(direction[None], rotation)[0]
    view = view_dwi(target.dwi, mask.reshape(target.mask.shape), shells, target_direction)
    view = select_voxels(_rotate_tensors(view, rotation.T), positions)
    return TargetView(view, is_measured)


def _nearest_voxels(
    target: LoadedScan, dwi: Dwi, layout: SliceLayout
) -> tuple[Int[np.ndarray, "v 3"], Float[np.ndarray, "3 3"]]:
    """Voxel indices in the target of all voxels in the pictures, and the rotation to the target."""
    registration = register_images(
        fixed=[mean_b0(dwi) * layout.mask],
        fixed_affine=dwi.affine,
        moving=[target.s0 * target.mask],
        moving_affine=target.dwi.affine,
        points=apply_affine(dwi.affine, np.argwhere(layout.shown_mask)),
        is_deformable=False,
    )
    indices = apply_affine(np.linalg.inv(target.dwi.affine), registration.points)
    return np.rint(indices).astype(int), registration.rotation


def _rotate_tensors(view: DwiView, rotation: Float[np.ndarray, "3 3"]) -> DwiView:
    directions = rotate_bvecs(view.tensor.direction, rotation).astype(np.float32)
    return replace(view, tensor=replace(view.tensor, direction=directions))
