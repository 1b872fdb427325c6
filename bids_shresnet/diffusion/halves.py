"""Two halves of a scan: two measurements of the same voxels, whose noise is independent.

A network that predicts one half of the directions from the other learns to remove noise without
ever seeing a scan without noise: Lehtinen et al. 2018, "Noise2Noise". Nothing is registered,
because both halves are the same scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from bids_shresnet.diffusion.harmonics import (
    REDUCED_ORDER,
    basis,
    choose_sh_order,
    sh_coefficient_count,
)
from bids_shresnet.diffusion.represent import represent_dwi
from bids_shresnet.diffusion.representation import Representation
from bids_shresnet.diffusion.shells import find_shell_volumes, select_volumes
from bids_shresnet.scans import Dwi, Shell

MIN_DIRECTIONS = sh_coefficient_count(REDUCED_ORDER)
EXCHANGES_TRIED = 2000  # after which hardly any exchange helps
SEED = 2018

Halves = tuple[Int[np.ndarray, " _"], Int[np.ndarray, " _"]]


def halve_shells(shells: Sequence[Shell], direction_counts: Sequence[int]) -> tuple[Shell, ...]:
    """Shells of half as many directions, with a lower order where these are too few for it.

    They keep the direction count of the whole shells, so that the amplitudes of halves are those of
    the whole scan.

    Returns
    -------
    Nothing if some half does not even determine spherical harmonics of order 2.
    """
    counts = [count // 2 for count in direction_counts]
    if min(counts) < MIN_DIRECTIONS:
        return ()
    return tuple(
        replace(shell, sh_order=min(shell.sh_order, choose_sh_order(count)))
        for shell, count in zip(shells, counts, strict=True)
    )


def represent_halves(
    dwi: Dwi, mask: Bool[np.ndarray, "x y z"], shells: Sequence[Shell]
) -> tuple[Representation, Representation]:
    """Represent each half of a scan in spherical harmonics; `shells` are those of a half."""
    first, second = halve_dwi(dwi, shells)
    return represent_dwi(first, mask, shells), represent_dwi(second, mask, shells)


def halve_dwi(dwi: Dwi, shells: Sequence[Shell]) -> tuple[Dwi, Dwi]:
    """Divide the volumes of each shell and the b0 volumes between two scans.

    A single b0 volume belongs to both halves.

    Raises
    ------
    ValueError
        If the scan lacks a shell.
    """
    b0s = np.flatnonzero(dwi.is_b0)
    parts = [(b0s[::2], b0s[1::2] if len(b0s) > 1 else b0s)]
    for volumes in find_shell_volumes(dwi.bvals, shells):
        first, second = halve_directions(dwi.bvecs[volumes])
        parts.append((volumes[first], volumes[second]))
    first_volumes = np.sort(np.concatenate([first for first, _ in parts]))
    second_volumes = np.sort(np.concatenate([second for _, second in parts]))
    return select_volumes(dwi, first_volumes), select_volumes(dwi, second_volumes)


def halve_directions(bvecs: Float[np.ndarray, "n 3"]) -> Halves:
    """Divide a gradient table so that both halves cover the sphere.

    Every second direction is taken, then directions are exchanged as long as it helps: the
    smallest singular value of the harmonics in the worse half becomes as large as possible. The
    result depends on the table only.

    Returns
    -------
    Ascending indices of each half; the second has one less if the number is odd.
    """
    first = np.arange(0, len(bvecs), 2)
    second = np.arange(1, len(bvecs), 2)
    matrix = basis(bvecs, choose_sh_order(len(second)))
    rng = np.random.default_rng(SEED)
    condition = _worse_condition(matrix[first], matrix[second])
    for _ in range(EXCHANGES_TRIED):
        changed_first = first.copy()
        changed_second = second.copy()
        i = rng.integers(len(first))
        j = rng.integers(len(second))
        changed_first[i] = second[j]
        changed_second[j] = first[i]
        changed = _worse_condition(matrix[changed_first], matrix[changed_second])
        if changed > condition:
            first = changed_first
            second = changed_second
            condition = changed
    return np.sort(first), np.sort(second)


def _worse_condition(first: Float[np.ndarray, "a c"], second: Float[np.ndarray, "b c"]) -> float:
    """Smallest singular value of the basis in the directions of the worse half."""
    values = [np.linalg.svd(part, compute_uv=False)[-1] for part in (first, second)]
    return float(min(values))
