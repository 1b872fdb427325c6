"""Shells that the scanners of a pair share, in which all travelling subjects must agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from bids_shresnet.diffusion.halves import halve_shells
from bids_shresnet.diffusion.harmonics import choose_sh_order
from bids_shresnet.diffusion.shells import (
    MATCH_TOLERANCE,
    ShellVolumes,
    find_shell_volumes,
    find_shells,
    match_shells,
)
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.pairs import Pair
from bids_shresnet.scans import Scan, Shell


@dataclass(frozen=True)
class PairShells:
    """The shells of a pair, in ascending b.

    Attributes
    ----------
    source, target
        Shells of the source, and the matching shells of the target.
    missing
        Shells of the target that the source lacks and that are to be predicted.
    source_halves, target_halves
        Shells of half a scan's directions; empty if some scan has too few.
    """

    source: tuple[Shell, ...]
    target: tuple[Shell, ...]
    missing: tuple[Shell, ...] = ()
    source_halves: tuple[Shell, ...] = ()
    target_halves: tuple[Shell, ...] = ()


def match_pair_shells(
    pair: Pair, sh_order: int | None, *, should_predict_missing: bool = False
) -> PairShells:
    """Match the shells of the first travelling subject that all others have, too.

    Parameters
    ----------
    sh_order
        SH order of all shells; None chooses it by the fewest different directions that a subject
        has on one of both scanners, because the target's are fitted without smoothing.
    should_predict_missing
        Include the shells that only the target has.

    Raises
    ------
    BadInput
        If no shells match, or subjects lack all of them or a missing one; every subject is named.
    """
    first_source, first_target = pair.travelling_scans[0]
    source_shells = find_shells(np.array(first_source.bvals))
    target_shells = find_shells(np.array(first_target.bvals))
    matches = match_shells(_bvalues(source_shells), _bvalues(target_shells))
    if not matches:
        raise BadInput([_no_match_finding(first_source, pair.target.label)])
    common = [
        (i, j)
        for i, j in matches
        if _is_common(pair, source_shells[i].bvalue, target_shells[j].bvalue)
    ]
    shared = {j for _, j in matches}
    missing = [shell for j, shell in enumerate(target_shells) if j not in shared]
    matches = tuple(common) or matches
    pair_shells = PairShells(
        source=tuple(_make_shell(source_shells[i]) for i, _ in matches),
        target=tuple(_make_shell(target_shells[j]) for _, j in matches),
        missing=tuple(_make_shell(shell) for shell in missing if should_predict_missing),
    )
    findings = _check_subjects(pair, pair_shells)
    if findings:
        raise BadInput(findings)
    pair_shells = _choose_orders(pair, pair_shells, sh_order)
    sources, targets = zip(*pair.travelling_scans, strict=True)
    return replace(
        pair_shells,
        source_halves=_half_shells(sources, pair_shells.source),
        target_halves=_half_shells(targets, pair_shells.target),
    )


def _choose_orders(pair: Pair, shells: PairShells, sh_order: int | None) -> PairShells:
    """Give both shells of a match one order."""
    sources, targets = zip(*pair.travelling_scans, strict=True)
    source_counts = _count_fewest_axes(sources, shells.source)
    target_counts = _count_fewest_axes(targets, shells.target)
    orders = [
        choose_sh_order(min(counts), sh_order)
        for counts in zip(source_counts, target_counts, strict=True)
    ]
    missing_counts = _count_fewest_axes(targets, shells.missing)
    missing_orders = [choose_sh_order(count, sh_order) for count in missing_counts]
    return PairShells(
        source=_set_orders(shells.source, orders),
        target=_set_orders(shells.target, orders),
        missing=_set_orders(shells.missing, missing_orders),
    )


def _set_orders(shells: Sequence[Shell], orders: Sequence[int]) -> tuple[Shell, ...]:
    pairs = zip(shells, orders, strict=True)
    return tuple(replace(shell, sh_order=order) for shell, order in pairs)


def _count_fewest_axes(scans: Sequence[Scan], shells: Sequence[Shell]) -> list[int]:
    """Count the different directions of each shell in the scan that has fewest."""
    counts = np.array([_count_shell_axes(scan, shells) for scan in scans], dtype=int)
    return [int(count) for count in counts.min(axis=0)]


def _count_shell_axes(scan: Scan, shells: Sequence[Shell]) -> list[int]:
    volumes = find_shell_volumes(np.array(scan.bvals), shells)
    return [count_axes(scan, part) for part in volumes]


def count_axes(scan: Scan, volumes: Int[np.ndarray, " k"]) -> int:
    """Count the different directions of some volumes; all differ if their axes are not known."""
    if not scan.axis_numbers:
        return len(volumes)
    return len(np.unique(np.array(scan.axis_numbers)[volumes]))


def _is_common(pair: Pair, source_bvalue: float, target_bvalue: float) -> bool:
    """Return whether all travelling subjects have a shell on both scanners."""
    sources = [_check_shells(scan, [Shell(source_bvalue, 0)]) for scan, _ in pair.travelling_scans]
    targets = [_check_shells(scan, [Shell(target_bvalue, 0)]) for _, scan in pair.travelling_scans]
    return not any(sources) and not any(targets)


def _half_shells(scans: Sequence[Scan], shells: Sequence[Shell]) -> tuple[Shell, ...]:
    """Return the shells of half of the directions; empty if some scan has too few."""
    counts = np.array([_direction_counts(scan, shells) for scan in scans]).min(axis=0)
    return halve_shells(shells, counts.tolist())


def _direction_counts(scan: Scan, shells: Sequence[Shell]) -> list[int]:
    return [len(volumes) for volumes in find_shell_volumes(np.array(scan.bvals), shells)]


def _bvalues(shells: Sequence[ShellVolumes]) -> list[float]:
    return [shell.bvalue for shell in shells]


def _make_shell(shell: ShellVolumes) -> Shell:
    """Make a shell whose order is not chosen yet."""
    return Shell(shell.bvalue, 0, len(shell.volumes))


def _no_match_finding(scan: Scan, target: str) -> Finding:
    value = f"no b-value within {MATCH_TOLERANCE:.0%} of one of {target}".replace("%", " %")
    remedy = "Harmonize to a scanner with similar b-values."
    return Finding("error", str(scan.image), value, remedy)


def _check_subjects(pair: Pair, shells: PairShells) -> list[Finding]:
    """Return the scans that lack a shell: of all sources first, then of all targets."""
    findings: list[Finding] = []
    for source, _ in pair.travelling_scans:
        findings += _check_shells(source, shells.source)
    for _, target in pair.travelling_scans:
        findings += _check_shells(target, (*shells.target, *shells.missing))
    return findings


def _check_shells(scan: Scan, shells: Sequence[Shell]) -> list[Finding]:
    """Return a finding if a scan lacks a shell."""
    try:
        find_shell_volumes(np.array(scan.bvals), shells)
    except ValueError as error:
        remedy = "Choose another scan of the subject with --bids-filter-file, or leave it out."
        return [Finding("error", str(scan.image), str(error), remedy)]
    return []
