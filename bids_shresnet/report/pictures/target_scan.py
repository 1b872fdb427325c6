"""The target's scan of a head, looked up at the voxels of the source's: registered rigidly and not interpolated."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.attenuation import mean_b0
from bids_shresnet.diffusion.gradients import rotate_bvecs
from bids_shresnet.diffusion.registration import register_images
from bids_shresnet.diffusion.shells import find_shell_volumes
from bids_shresnet.diffusion.tensors import TensorValues
from bids_shresnet.diffusion.views import DwiView, select_voxels, view_dwi
from bids_shresnet.errors import BadInput, InputMissing
from bids_shresnet.inputs.load_scan import LoadedScan, load_scan
from bids_shresnet.report.pictures.slices import SliceLayout
from bids_shresnet.scans import Dwi, Scan, Shell


@dataclass(frozen=True)
class TargetView:
    """The target's scan, looked up at voxels of the source scan: those that it measured."""

    view: DwiView
    measured_mask: Bool[np.ndarray, " v"]


def view_target_scan(
    scan: Scan | None,
    before: Dwi,
    layout: SliceLayout,
    shells: tuple[Shell, ...],
    direction: Float[np.ndarray, " 3"],
) -> tuple[TargetView | None, str]:
    """The target's scan, where there is one, beside another of the same head; or nothing, and why.

    `direction` is that of the volume which is looked at, along the world axes of the other scan.
    """
    if scan is None:
        return (
            None,
            "The subject has no usable scan of the target scanner, so there is nothing to compare with.",
        )
    try:
        find_shell_volumes(np.array(scan.bvals), shells)
    except ValueError as error:
        return None, f"The scan of the target scanner is another measurement: {error}."
    try:
        target = load_scan(scan)
    except (BadInput, InputMissing) as error:
        return None, f"The scan of the target scanner cannot be used: {error}"
    found = _sample_target(target, before, layout, shells, direction)
    return (
        found,
        "" if found else "The scan of the target scanner could not be registered to this one.",
    )


def _sample_target(
    target: LoadedScan,
    before: Dwi,
    layout: SliceLayout,
    shells: tuple[Shell, ...],
    direction: Float[np.ndarray, " 3"],
) -> TargetView | None:
    """Register rigidly and take the nearest voxel: what is seen is what was measured; None where nothing overlaps."""
    found = register_images(
        [mean_b0(before) * layout.mask],
        before.affine,
        [target.s0 * target.mask],
        target.dwi.affine,
        nib.affines.apply_affine(before.affine, np.argwhere(layout.shown_mask)),
        is_deformable=False,
    )
    voxels = np.rint(
        nib.affines.apply_affine(np.linalg.inv(target.dwi.affine), found.points)
    ).astype(int)
    known = ((voxels >= 0) & (voxels < target.mask.shape)).all(axis=1)
    known[known] = target.mask[tuple(voxels[known].T)]
    if not known.any():
        return None
    flat = np.ravel_multi_index(tuple(voxels[known].T), target.mask.shape)
    where, index = np.zeros(target.mask.size, dtype=bool), np.unique(flat, return_inverse=True)[1]
    where[flat] = True
    view = view_dwi(
        target.dwi,
        where.reshape(target.mask.shape),
        shells,
        rotate_bvecs(direction[None], found.rotation)[0],
    )
    tensor = view.tensor
    turned_back = rotate_bvecs(tensor.direction, found.rotation.T).astype(np.float32)
    straight = DwiView(
        TensorValues(tensor.fa, tensor.md, turned_back), view.signal, view.power, view.angle_degrees
    )
    return TargetView(select_voxels(straight, index), known)
