"""The target's scan of a head, sampled at the voxels of the source scan, without interpolation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int
from nibabel.affines import apply_affine

from bids_shresnet.diffusion.attenuation import mean_b0
from bids_shresnet.diffusion.gradients import rotate_bvecs
from bids_shresnet.diffusion.shells import find_shell_volumes
from bids_shresnet.diffusion.spatial.registration import Correspondence, register_images
from bids_shresnet.errors import BadInput, InputMissing
from bids_shresnet.inputs.load_scan import LoadedScan, load_scan
from bids_shresnet.io.images.nifti import read_labels
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
    voxels
        Their voxels in the target's scan.
    tissue
        Values of `Tissue` in these voxels, as the target shows them; None if they are not known.
    rotation_degrees, shift_mm
        Rotation of the head between both scans, and mean displacement of the voxels.
    """

    view: DwiView
    measured_mask: Bool[np.ndarray, " v"]
    voxels: Int[np.ndarray, "w 3"]
    tissue: Int[np.ndarray, " w"] | None
    rotation_degrees: float
    shift_mm: float


def view_target_scan(
    scan: Scan | None,
    dwi: Dwi,
    layout: SliceLayout,
    shells: tuple[Shell, ...],
    direction: Float[np.ndarray, " 3"],
    tissue: Path | None = None,
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
    tissue
        Tissues of the target's scan on its own grid, if they are known.

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
    if view is not None and tissue is not None:
        view = _add_tissue(view, tissue, target)
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
    points = apply_affine(dwi.affine, np.argwhere(layout.shown_mask))
    registration = _register(target, dwi, layout, points)
    voxels, is_measured = _find_measured_voxels(target, registration.points)
    if not is_measured.any():
        return None
    target_direction = rotate_bvecs(direction[None], registration.rotation)[0]
    view = _view_voxels(target, voxels, shells, target_direction)
    return TargetView(
        view=_rotate_tensors(view, registration.rotation.T),
        measured_mask=is_measured,
        voxels=voxels,
        tissue=None,
        rotation_degrees=_rotation_angle(registration.rotation),
        shift_mm=float(np.linalg.norm(registration.points - points, axis=1).mean()),
    )


def _find_measured_voxels(
    target: LoadedScan, points: Float[np.ndarray, "v 3"]
) -> tuple[Int[np.ndarray, "w 3"], Bool[np.ndarray, " v"]]:
    """Return the voxels of the target's brain nearest to points, and which points have one."""
    indices = apply_affine(np.linalg.inv(target.dwi.affine), points)
    voxels = np.rint(indices).astype(int)
    is_inside = (voxels >= 0) & (voxels < target.mask.shape)
    is_measured = np.asarray(is_inside.all(axis=1))
    is_measured[is_measured] = target.mask[tuple(voxels[is_measured].T)]
    return voxels[is_measured], is_measured


def _view_voxels(
    target: LoadedScan,
    voxels: Int[np.ndarray, "w 3"],
    shells: tuple[Shell, ...],
    direction: Float[np.ndarray, " 3"],
) -> DwiView:
    """View voxels in their order; each is fitted once, however often it comes."""
    flat_indices = np.ravel_multi_index(tuple(voxels.T), target.mask.shape)
    unique_indices, positions = np.unique(flat_indices, return_inverse=True)
    mask = np.zeros(target.mask.size, dtype=bool)
    mask[unique_indices] = True
    view = view_dwi(target.dwi, mask.reshape(target.mask.shape), shells, direction)
    return select_voxels(view, positions)


def _rotation_angle(rotation: Float[np.ndarray, "3 3"]) -> float:
    """Angle of a rotation in degrees."""
    cosine = (np.trace(rotation) - 1) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _add_tissue(view: TargetView, tissue: Path, target: LoadedScan) -> TargetView:
    labels = read_labels(tissue, target.dwi.shape, target.dwi.affine)
    return replace(view, tissue=labels[tuple(view.voxels.T)])


def _register(
    target: LoadedScan, dwi: Dwi, layout: SliceLayout, points: Float[np.ndarray, "v 3"]
) -> Correspondence:
    """Find points of the scan in the target's, without deformation."""
    return register_images(
        fixed=[mean_b0(dwi) * layout.mask],
        fixed_affine=dwi.affine,
        moving=[target.s0 * target.mask],
        moving_affine=target.dwi.affine,
        points=points,
        is_deformable=False,
    )


def _rotate_tensors(view: DwiView, rotation: Float[np.ndarray, "3 3"]) -> DwiView:
    directions = rotate_bvecs(view.tensor.direction, rotation).astype(np.float32)
    return replace(view, tensor=replace(view.tensor, direction=directions))
