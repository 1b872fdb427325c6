"""Test of b-vectors against their image: along a fibre, the next voxel has the same direction.

A table whose axes are flipped or swapped gives as good a tensor fit, with the same FA and MD, but
its principal directions no longer point along the tracts. Reorienting the table reorients the
directions likewise, so one tensor fit serves every possible reading of the table.
Source: the fibre coherence index of Schilling et al. 2019, doi 10.1016/j.mri.2019.01.018.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from bids_shresnet.diffusion.spatial.masking import unmask
from bids_shresnet.diffusion.tensors import fit_dwi_tensor
from bids_shresnet.scans import Dwi

MIN_TRACT_FA = 0.25  # FA from which a voxel is taken for a tract
# Neighbours are on one tract if both directions are within 35 degrees of the line between them.
MIN_TRACT_COSINE = np.cos(np.radians(35))
MAX_RADIUS_MM = 50.0  # around the middle of the brain, where the large tracts are
MAX_TRACT_VOXELS = 40_000  # the nearest to the middle; more take longer and change nothing
# In standard errors. A correct table of a real head stays below -6; pairs of voxels are not quite
# independent.
MIN_Z_SCORE = 6.0
AXIS_NAMES = "xyz"
NEIGHBOUR_STEPS = [np.array(step) for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]


@dataclass(frozen=True)
class Reorientation:
    """A reading of a gradient table: `matrix` times a b-vector of it is the intended b-vector."""

    name: str
    matrix: Float[np.ndarray, "3 3"]


@dataclass(frozen=True)
class BetterReorientation:
    """A reading of the table under which the fibres are more coherent than as it stands.

    Attributes
    ----------
    name
        How to change the table, e.g. "flip x".
    coherence, original_coherence
        Share of neighbouring tract voxels that point at each other: with the changed table, and
        with the table as it stands.
    """

    name: str
    coherence: float
    original_coherence: float


@dataclass(frozen=True)
class Tracts:
    """Anisotropic voxels of a part of a grid, and their principal directions as unit vectors."""

    directions: Float[np.ndarray, "x y z 3"]
    mask: Bool[np.ndarray, "x y z"]


def make_reorientations() -> tuple[Reorientation, ...]:
    """Return the 24 reorientations that differ by more than the sign of whole vectors.

    The first one is the table as it stands.
    """
    signs = [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)]
    return tuple(
        Reorientation(
            name=_reorientation_name(order, sign),
            matrix=np.eye(3)[list(order)] * np.array(sign, float)[:, None],
        )
        for order in permutations(range(3))
        for sign in signs
    )


def _reorientation_name(order: tuple[int, ...], sign: tuple[int, ...]) -> str:
    """Describe how to change a table as it stands."""
    moved = [AXIS_NAMES[axis] for axis in range(3) if order[axis] != axis]
    steps = []
    if len(moved) == 2:
        steps.append(f"swap {' and '.join(moved)}")
    elif len(moved) == 3:
        steps.append(f"reorder to {' '.join(AXIS_NAMES[source] for source in order)}")
    steps += [f"flip {AXIS_NAMES[axis]}" for axis in range(3) if sign[axis] < 0]
    return ", then ".join(steps) or "as it stands"


REORIENTATIONS = make_reorientations()


def find_tracts(dwi: Dwi, mask: Bool[np.ndarray, "x y z"]) -> Tracts:
    """Find the anisotropic voxels in the middle of the brain.

    Returns
    -------
    Their principal directions along the world axes, on a box around them.
    """
    middle = _central_voxels(mask, dwi.affine)
    tensor = fit_dwi_tensor(dwi, middle)
    boxes = ndimage.find_objects(middle.astype(np.uint8))
    box = boxes[0] if boxes else (slice(0),) * 3  # a hollow mask has no middle
    return Tracts(
        directions=unmask(tensor.direction, middle)[box],
        mask=unmask(tensor.fa > MIN_TRACT_FA, middle)[box],
    )


def find_better_reorientation(
    tracts: Tracts, axes: Float[np.ndarray, "3 3"]
) -> BetterReorientation | None:
    """Find the reorientation with the most coherent fibres.

    Parameters
    ----------
    tracts
        Tracts with directions in the frame in which the table is reoriented.
    axes
        Step to the next voxel along each axis of the grid, in columns, in that frame and in mm.

    Returns
    -------
    None unless it is certain to be better than the table as it stands (McNemar's test).
    """
    is_coherent = np.concatenate(
        [_find_coherent_pairs(tracts, axes, step) for step in NEIGHBOUR_STEPS]
    )
    if not len(is_coherent):
        return None
    shares = is_coherent.mean(axis=0)
    best = int(shares.argmax())
    # only pairs on which the two readings differ tell them apart
    won = (is_coherent[:, best] & ~is_coherent[:, 0]).sum()
    lost = (is_coherent[:, 0] & ~is_coherent[:, best]).sum()
    if won - lost <= MIN_Z_SCORE * np.sqrt(won + lost):
        return None
    return BetterReorientation(REORIENTATIONS[best].name, float(shares[best]), float(shares[0]))


def _find_coherent_pairs(
    tracts: Tracts, axes: Float[np.ndarray, "3 3"], step: Int[np.ndarray, " 3"]
) -> Bool[np.ndarray, "p 24"]:
    """Return which pairs of tract voxels, this step apart, point at each other, per reading."""
    first = _overlap_slices(tracts.mask.shape, step)
    second = _overlap_slices(tracts.mask.shape, -step)
    is_pair = tracts.mask[first] & tracts.mask[second]
    line = axes @ step / np.linalg.norm(axes @ step)
    # e . (M v) = (M' e) . v: the line is reoriented instead of every direction
    lines = np.stack([reading.matrix.T @ line for reading in REORIENTATIONS], axis=1)
    first_cosines = np.abs(tracts.directions[first][is_pair] @ lines)
    second_cosines = np.abs(tracts.directions[second][is_pair] @ lines)
    return np.asarray((first_cosines > MIN_TRACT_COSINE) & (second_cosines > MIN_TRACT_COSINE))


def _overlap_slices(shape: tuple[int, ...], step: Int[np.ndarray, " 3"]) -> tuple[slice, ...]:
    """Return slices of the voxels from which a step stays inside the grid."""
    return tuple(
        slice(max(0, -shift), size - max(0, shift))
        for size, shift in zip(shape, step.tolist(), strict=True)
    )


def _central_voxels(
    mask: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]
) -> Bool[np.ndarray, "x y z"]:
    """Return the voxels of a mask nearest to its centre (MAX_RADIUS_MM, MAX_TRACT_VOXELS)."""
    voxels = np.argwhere(mask)
    positions = voxels @ affine[:3, :3].T
    distances = np.linalg.norm(positions - positions.mean(axis=0), axis=1)
    count = min(MAX_TRACT_VOXELS, int((distances <= MAX_RADIUS_MM).sum()))
    nearest = np.argsort(distances, kind="stable")[:count]
    middle = np.zeros_like(mask)
    middle[tuple(voxels[nearest].T)] = True
    return middle
