"""Whether b-vectors fit their image: a fibre goes on in the next voxel only where the table's axes are the right ones.

A table whose axes are flipped or swapped gives as good a tensor fit, with the same FA and MD, but its principal
directions no longer point along the tracts. Turning the table turns the directions alike, so that one tensor fit serves
every table that could have been meant.
Source: the fibre coherence index of Schilling et al. 2019, doi 10.1016/j.mri.2019.01.018.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from bids_shresnet.diffusion.representation import unmask
from bids_shresnet.diffusion.tensors import fit_tensor
from bids_shresnet.scans import Dwi

MIN_TRACT_FA = 0.25  # FA from which a voxel is taken for a tract
MIN_TRACT_COSINE = np.cos(
    np.radians(35)
)  # neighbours are on one tract if both directions are this close to the line between them
MAX_RADIUS_MM = 50.0  # mm around the middle of the brain, where the large tracts are
MAX_TRACT_VOXELS = (
    40_000  # at most, the nearest to the middle: more would take longer and say the same
)
MIN_Z_SCORE = 6.0  # standard errors; a right table of a real head stays below -6, and pairs are not quite independent
AXIS_NAMES = "xyz"
NEIGHBOUR_STEPS = [np.array(step) for step in product((-1, 0, 1), repeat=3) if step > (0, 0, 0)]


@dataclass(frozen=True)
class Reorientation:
    """A way to read a gradient table: `matrix` times a b-vector as it stands is the one that was meant."""

    name: str
    matrix: Float[np.ndarray, "3 3"]


@dataclass(frozen=True)
class BetterReorientation:
    """A reading of the table under which the fibres are more coherent than as it stands.

    Attributes
    ----------
    name
        What to do with the table, e.g. "flip x".
    coherence, original_coherence
        Share of neighbouring tract voxels that point at each other, read so and as it stands.
    """

    name: str
    coherence: float
    original_coherence: float


@dataclass(frozen=True)
class Tracts:
    """Anisotropic voxels of a part of a grid, and their principal directions as unit vectors."""

    directions: Float[np.ndarray, "x y z 3"]
    mask: Bool[np.ndarray, "x y z"]


def reorientations() -> tuple[Reorientation, ...]:
    """The 24 that differ by more than the sign of whole vectors, which means nothing; first the table as it stands."""
    signs = [(1, 1, 1), (-1, 1, 1), (1, -1, 1), (1, 1, -1)]
    return tuple(
        Reorientation(
            _reorientation_name(order, sign),
            np.eye(3)[list(order)] * np.array(sign, float)[:, None],
        )
        for order in permutations(range(3))
        for sign in signs
    )


def find_tracts(dwi: Dwi, mask: Bool[np.ndarray, "x y z"]) -> Tracts:
    """Principal directions (world axes) of the anisotropic voxels in the middle of the brain."""
    middle = _central_voxels(mask, dwi.affine)
    values = fit_tensor(dwi.data[middle], np.where(dwi.is_b0, 0, dwi.bvals), dwi.bvecs)
    box = ndimage.find_objects(middle.astype(np.uint8))[0]
    directions, anisotropic = (
        unmask(part, middle)[box] for part in (values.direction, values.fa > MIN_TRACT_FA)
    )
    return Tracts(directions, anisotropic)


def find_better_reorientation(
    tracts: Tracts, axes: Float[np.ndarray, "3 3"]
) -> BetterReorientation | None:
    """Find the reading with the most coherent fibres, if it is certain to be better than the table as it stands.

    Parameters
    ----------
    tracts
        Their directions in the frame in which the table would be read otherwise.
    axes
        The step to the next voxel along each axis of the grid, in columns, in that frame and in mm.
    """
    agreeing = np.concatenate(
        [_find_coherent_pairs(tracts, axes, step) for step in NEIGHBOUR_STEPS]
    )
    if not len(agreeing):
        return None
    shares = agreeing.mean(axis=0)
    best = int(shares.argmax())
    won, lost = (
        (agreeing[:, best] & ~agreeing[:, 0]).sum(),
        (agreeing[:, 0] & ~agreeing[:, best]).sum(),
    )
    if won - lost <= MIN_Z_SCORE * np.sqrt(
        won + lost
    ):  # McNemar's test: only pairs that differ tell the two apart
        return None
    return BetterReorientation(reorientations()[best].name, float(shares[best]), float(shares[0]))


def _find_coherent_pairs(
    tracts: Tracts, axes: Float[np.ndarray, "3 3"], step: Int[np.ndarray, " 3"]
) -> Bool[np.ndarray, "p 24"]:
    """Whether two neighbours, this step apart, point at each other; all pairs of tract voxels, each reading."""
    here, there = (tuple(_overlap_slices(tracts.mask.shape, sign * step)) for sign in (1, -1))
    both = tracts.mask[here] & tracts.mask[there]
    line = axes @ step / np.linalg.norm(axes @ step)
    # e . (M v) = (M' e) . v: the line is turned instead of every direction
    lines = np.stack([reading.matrix.T @ line for reading in reorientations()], axis=1)
    along = [
        np.abs(tracts.directions[side][both] @ lines) > MIN_TRACT_COSINE for side in (here, there)
    ]
    return np.asarray(along[0] & along[1])


def _overlap_slices(shape: tuple[int, ...], step: Int[np.ndarray, " 3"]) -> Iterator[slice]:
    """Slices of the voxels from which a step stays inside the grid."""
    for size, shift in zip(shape, step.tolist(), strict=True):
        yield slice(max(0, -shift), size - max(0, shift))


def _central_voxels(
    mask: Bool[np.ndarray, "x y z"], affine: Float[np.ndarray, "4 4"]
) -> Bool[np.ndarray, "x y z"]:
    """The voxels of a mask within `RADIUS` of its centre, and of these the nearest `VOXELS`."""
    places = np.argwhere(mask)
    world = places @ affine[:3, :3].T
    distances = np.linalg.norm(world - world.mean(axis=0), axis=1)
    nearest = np.argsort(distances, kind="stable")[
        : min(MAX_TRACT_VOXELS, int((distances <= MAX_RADIUS_MM).sum()))
    ]
    middle = np.zeros_like(mask)
    middle[tuple(places[nearest].T)] = True
    return middle


def _reorientation_name(order: tuple[int, ...], sign: tuple[int, ...]) -> str:
    """Say how to get from the table as it stands to the reading."""
    kept = [axis == source for axis, source in enumerate(order)]
    moved = [AXIS_NAMES[axis] for axis in range(3) if not kept[axis]]
    steps = [f"swap {' and '.join(moved)}"] if len(moved) == 2 else []
    steps += (
        [f"reorder to {' '.join(AXIS_NAMES[source] for source in order)}"]
        if len(moved) == 3
        else []
    )
    steps += [f"flip {AXIS_NAMES[axis]}" for axis in range(3) if sign[axis] < 0]
    return ", then ".join(steps) or "as it stands"
