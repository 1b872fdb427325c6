"""Shells of a gradient table, and which shells two scanners share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bids_shresnet.diffusion.harmonics import choose_sh_order
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.pairs import Pair
from bids_shresnet.scans import B0_THRESHOLD, Scan, Shell

SHELL_GAP = 100.0  # s/mm2; scanners scatter a shell by up to 30 (985-1010, 2440-2470), protocols space shells by 250 and more
MATCH_TOLERANCE = 0.25  # relative difference in b up to which shells of two scanners are partners
SAME_SHELL_TOLERANCE = (
    0.05  # relative difference in b up to which a scan has the shell that a model was trained on
)


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


def match_shells(
    source: Sequence[float], target: Sequence[float], *, tolerance: float = MATCH_TOLERANCE
) -> tuple[tuple[int, int], ...]:
    """Indices of the shells that are partners: each other's nearest in b, within a relative tolerance."""
    if not len(source) or not len(target):
        return ()
    distance = np.abs(np.subtract.outer(np.asarray(source, float), np.asarray(target, float)))
    near = distance <= tolerance * np.maximum.outer(
        np.asarray(source, float), np.asarray(target, float)
    )
    return tuple(
        (i, j)
        for i in range(len(source))
        for j in range(len(target))
        if near[i, j] and distance[i].argmin() == j and distance[:, j].argmin() == i
    )


def find_shell_volumes(
    bvals: Float[np.ndarray, " n"], shells: Sequence[Shell]
) -> tuple[Int[np.ndarray, " _"], ...]:
    """The volumes of each wanted shell.

    Raises
    ------
    ValueError
        If the scan lacks one of them; says which b-values it has.
    """
    there = find_shells(bvals)
    found = []
    for shell in shells:
        near = [
            s for s in there if abs(s.bvalue - shell.bvalue) <= SAME_SHELL_TOLERANCE * shell.bvalue
        ]
        if not near:
            has = ", ".join(f"{s.bvalue:.0f}" for s in there)
            msg = f"no shell at b = {shell.bvalue:.0f} s/mm2 (the scan has b = {has})"
            raise ValueError(msg)
        found.append(min(near, key=lambda s: abs(s.bvalue - shell.bvalue)).volumes)
    return tuple(found)


@dataclass(frozen=True)
class PairShells:
    """The shells of a pair, in ascending b.

    Attributes
    ----------
    source, target
        What the source measures, and its partners on the target.
    missing
        Those of the target that the source lacks and that are to be predicted.
    """

    source: tuple[Shell, ...]
    target: tuple[Shell, ...]
    missing: tuple[Shell, ...] = ()


def match_pair_shells(
    pair: Pair, sh_order: int | None, *, should_predict_missing: bool = False
) -> PairShells:
    """Shells that scanners of a pair share, from the first travelling subject, and in which all others must agree.

    With `predict_missing` also those that only the target has.

    Raises
    ------
    BadInput
        If no b-values are partners, or a subject lacks one; every subject is named.
    """
    first_source, first_target = (
        find_shells(np.array(scan.bvals)) for scan in pair.travelling_scans[0]
    )
    partners = match_shells([s.bvalue for s in first_source], [s.bvalue for s in first_target])
    if not partners:
        scan = pair.travelling_scans[0][0]
        value = f"no b-value within 25 % of one of {pair.target.label}"
        raise BadInput(
            [
                Finding(
                    "error", str(scan.image), value, "Harmonize to a scanner with similar b-values."
                )
            ]
        )

    def fitted(shell: ShellVolumes) -> Shell:
        return Shell(shell.bvalue, choose_sh_order(len(shell.volumes), sh_order))

    source = tuple(fitted(first_source[i]) for i, _ in partners)
    target = tuple(fitted(first_target[j]) for _, j in partners)
    shared = {j for _, j in partners}
    missing = tuple(
        fitted(s) for j, s in enumerate(first_target) if should_predict_missing and j not in shared
    )
    findings = [
        *(finding for scan, _ in pair.travelling_scans for finding in _check_shells(scan, source)),
        *(
            finding
            for _, scan in pair.travelling_scans
            for finding in _check_shells(scan, (*target, *missing))
        ),
    ]
    if findings:
        raise BadInput(findings)
    return PairShells(source, target, missing)


def _check_shells(scan: Scan, shells: Sequence[Shell]) -> list[Finding]:
    try:
        find_shell_volumes(np.array(scan.bvals), shells)
    except ValueError as error:
        return [
            Finding(
                "error",
                str(scan.image),
                str(error),
                "Leave this session out, or train it as another scanner.",
            )
        ]
    return []
