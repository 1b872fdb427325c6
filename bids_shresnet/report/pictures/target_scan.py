"""The target's scan of a head, looked up at the voxels of the source's: registered rigidly and not interpolated."""

from __future__ import annotations

from dataclasses import dataclass

import nibabel as nib
import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.attenuation import mean_b0
from bids_shresnet.diffusion.gradients import rotate
from bids_shresnet.diffusion.registration import register
from bids_shresnet.diffusion.shells import volumes_of
from bids_shresnet.diffusion.tensors import TensorValues
from bids_shresnet.diffusion.views import View, look_at, take
from bids_shresnet.errors import BadInput, InputMissing
from bids_shresnet.inputs.load_scan import Loaded, load
from bids_shresnet.report.pictures.slices import Cut
from bids_shresnet.scans import Dwi, Scan, Shell


@dataclass(frozen=True)
class Beside:
    """The target's scan, looked up at voxels of the source scan: those that it measured."""

    view: View
    known: Bool[np.ndarray, " v"]


def look_beside(
    scan: Scan | None, before: Dwi, cut: Cut, shells: tuple[Shell, ...], direction: Float[np.ndarray, " 3"]
) -> tuple[Beside | None, str]:
    """The target's scan, where there is one, beside another of the same head; or nothing, and why.

    `direction` is that of the volume which is looked at, along the world axes of the other scan.
    """
    if scan is None:
        return None, "The subject has no usable scan of the target scanner, so there is nothing to compare with."
    try:
        volumes_of(np.array(scan.bvals), shells)
    except ValueError as error:
        return None, f"The scan of the target scanner is another measurement: {error}."
    try:
        target = load(scan)
    except (BadInput, InputMissing) as error:
        return None, f"The scan of the target scanner cannot be used: {error}"
    found = _looked_up(target, before, cut, shells, direction)
    return found, "" if found else "The scan of the target scanner could not be registered to this one."


def _looked_up(
    target: Loaded, before: Dwi, cut: Cut, shells: tuple[Shell, ...], direction: Float[np.ndarray, " 3"]
) -> Beside | None:
    """Register rigidly and take the nearest voxel: what is seen is what was measured; None where nothing overlaps."""
    found = register(
        [mean_b0(before) * cut.mask],
        before.affine,
        [target.s0 * target.mask],
        target.dwi.affine,
        nib.affines.apply_affine(before.affine, np.argwhere(cut.seen)),
        deformable=False,
    )
    voxels = np.rint(nib.affines.apply_affine(np.linalg.inv(target.dwi.affine), found.points)).astype(int)
    known = ((voxels >= 0) & (voxels < target.mask.shape)).all(axis=1)
    known[known] = target.mask[tuple(voxels[known].T)]
    if not known.any():
        return None
    flat = np.ravel_multi_index(tuple(voxels[known].T), target.mask.shape)
    where, index = np.zeros(target.mask.size, dtype=bool), np.unique(flat, return_inverse=True)[1]
    where[flat] = True
    view = look_at(target.dwi, where.reshape(target.mask.shape), shells, rotate(direction[None], found.rotation)[0])
    tensor = view.tensor
    turned_back = rotate(tensor.direction, found.rotation.T).astype(np.float32)
    straight = View(TensorValues(tensor.fa, tensor.md, turned_back), view.signal, view.power, view.off)
    return Beside(take(straight, index), known)
