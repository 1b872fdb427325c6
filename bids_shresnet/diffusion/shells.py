"""Shells of a gradient table, and shells that two scanners share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from bids_shresnet.scans import B0_THRESHOLD, Dwi, Shell

# s/mm2. Scanners scatter a shell by up to 30 (985-1010, 2440-2470); protocols space shells by 250
# and more.
SHELL_GAP = 100.0
MATCH_TOLERANCE = 0.25  # relative difference in b up to which shells of two scanners match
SAME_SHELL_TOLERANCE = 0.05  # relative difference in b between a scan's shell and the model's


@dataclass(frozen=True)
class ShellVolumes:
    """The volumes of one shell: mean b-value in s/mm2 and their indices in the DWI."""

    bvalue: float
    volumes: Int[np.ndarray, " k"]


def find_shells(bvals: Float[np.ndarray, " n"]) -> tuple[ShellVolumes, ...]:
    """Cluster b-values into shells, in ascending b.

    A new shell begins where the sorted b-values leap by more than `SHELL_GAP`. Volumes below
    `B0_THRESHOLD` belong to no shell.
    """
    weighted = np.flatnonzero(bvals >= B0_THRESHOLD)
    order = weighted[np.argsort(bvals[weighted], kind="stable")]
    breaks = np.flatnonzero(np.diff(bvals[order]) > SHELL_GAP) + 1
    groups = [np.sort(group) for group in np.split(order, breaks) if group.size]
    return tuple(ShellVolumes(float(bvals[group].mean()), group) for group in groups)


def match_shells(
    source: Sequence[float], target: Sequence[float], *, tolerance: float = MATCH_TOLERANCE
) -> tuple[tuple[int, int], ...]:
    """Match the b-values of two scanners: each other's nearest, within a relative tolerance.

    Returns
    -------
    Pairs of indices into source and target.
    """
    if not len(source) or not len(target):
        return ()
    source_bvalues = np.asarray(source, float)
    target_bvalues = np.asarray(target, float)
    distance = np.abs(np.subtract.outer(source_bvalues, target_bvalues))
    is_near = distance <= tolerance * np.maximum.outer(source_bvalues, target_bvalues)
    nearest_target = distance.argmin(axis=1)
    nearest_source = distance.argmin(axis=0)
    return tuple(
        (i, int(j))
        for i, j in enumerate(nearest_target)
        if is_near[i, j] and nearest_source[j] == i
    )


def find_shell_volumes(
    bvals: Float[np.ndarray, " n"], shells: Sequence[Shell]
) -> tuple[Int[np.ndarray, " _"], ...]:
    """Find the volumes of each shell.

    Raises
    ------
    ValueError
        If the scan lacks a shell; the message names the b-values that it has.
    """
    measured = find_shells(bvals)
    return tuple(_find_same_shell(measured, shell.bvalue).volumes for shell in shells)


def _find_same_shell(measured: Sequence[ShellVolumes], bvalue: float) -> ShellVolumes:
    """Return the measured shell nearest to a b-value, if it is the same shell."""
    nearest = min(measured, key=lambda shell: abs(shell.bvalue - bvalue), default=None)
    if nearest is None or abs(nearest.bvalue - bvalue) > SAME_SHELL_TOLERANCE * bvalue:
        bvalues = ", ".join(f"{shell.bvalue:.0f}" for shell in measured)
        msg = f"no shell at b = {bvalue:.0f} s/mm2 (the scan has b = {bvalues})"
        raise ValueError(msg)
    return nearest


def select_volumes(dwi: Dwi, volumes: Shaped[np.ndarray, " k"]) -> Dwi:
    """Return a scan of some volumes, which are given by their indices or by a mask."""
    return Dwi(dwi.data[..., volumes], dwi.affine, dwi.bvals[volumes], dwi.bvecs[volumes])
