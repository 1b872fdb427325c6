"""Gradient tables: which volumes form a shell, which shells of two scanners belong together, how a pose turns them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bids_shresnet.scans import B0_THRESHOLD

SHELL_GAP = (
    100.0  # s/mm2; scanners scatter a shell by up to 30 (985-1010, 2440-2470), protocols space shells by 250 and more
)
PARTNER_TOLERANCE = 0.25  # relative difference in b up to which shells of two scanners are partners
SAME_AXIS = np.cos(np.radians(2))  # repeated directions differ by rounding, those of a 250-direction shell by 6 degrees
SAME_TOLERANCE = 0.05  # relative difference in b up to which a scan has the shell that a model was trained on


@dataclass(frozen=True)
class ShellVolumes:
    """The volumes of one shell: mean b-value in s/mm2 and their indices in the series."""

    bvalue: float
    volumes: Int[np.ndarray, " k"]


def find_shells(bvals: Float[np.ndarray, " n"]) -> tuple[ShellVolumes, ...]:
    """Cluster b-values into shells, in ascending b.

    A new shell begins where the sorted b-values leap by more than `SHELL_GAP`; volumes below `B0_THRESHOLD` belong
    to none.
    """
    weighted = np.flatnonzero(bvals >= B0_THRESHOLD)
    order = weighted[np.argsort(bvals[weighted], kind="stable")]
    breaks = np.flatnonzero(np.diff(bvals[order]) > SHELL_GAP) + 1
    groups = [np.sort(group) for group in np.split(order, breaks) if group.size]
    return tuple(ShellVolumes(float(bvals[group].mean()), group) for group in groups)


def count_directions(bvecs: Float[np.ndarray, "n 3"]) -> int:
    """Number of different axes among b-vectors of any length but zero; a direction and its opposite are one axis."""
    units = bvecs / np.linalg.norm(bvecs, axis=1, keepdims=True)
    same = np.abs(units @ units.T) > SAME_AXIS
    # each vector counts unless an earlier one has its axis
    return int((~np.tril(same, -1).any(axis=1)).sum())


def match_shells(
    source: Sequence[float], target: Sequence[float], *, tolerance: float = PARTNER_TOLERANCE
) -> tuple[tuple[int, int], ...]:
    """Indices of the shells that are partners: each other's nearest in b, within a relative tolerance."""
    if not len(source) or not len(target):
        return ()
    distance = np.abs(np.subtract.outer(np.asarray(source, float), np.asarray(target, float)))
    near = distance <= tolerance * np.maximum.outer(np.asarray(source, float), np.asarray(target, float))
    return tuple(
        (i, j)
        for i in range(len(source))
        for j in range(len(target))
        if near[i, j] and distance[i].argmin() == j and distance[:, j].argmin() == i
    )


def rotate(bvecs: Float[np.ndarray, "n 3"], rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "n 3"]:
    """Turn b-vectors as the head was turned: each row g becomes R g."""
    return np.asarray(bvecs @ rotation.T)
