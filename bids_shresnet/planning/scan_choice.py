"""The two scans of each travelling subject that a pair is trained on.

They are chosen among those whose shells have a partner on the other scanner, so that all subjects
of a pair have the same shells. The shells are those that give most training data: directions,
summed over the subjects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import cache
from itertools import product
from math import log
from operator import itemgetter

import numpy as np

from bids_shresnet.diffusion.shells import SAME_SHELL_TOLERANCE, find_shells, match_shells
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.ranking import RankedScans, shared_subjects
from bids_shresnet.scans import Scan, Scanner

SCAN_RANKING = (
    "most directions in the shells that both scanners have, then nearest in time to the partner's "
    "scan, then acquisition, then file name"
)
MIN_TRAVELLING = 3  # subjects of a pair: one to train on, one to validate, one to test

ScanPair = tuple[Scan, Scan]  # of one subject, on the source and on the target
SharedShells = tuple[tuple[float, float], ...]  # b-values on the source and on the target
Bvals = tuple[float, ...]
Rank = tuple[int, timedelta, tuple[str, ...], tuple[str, str]]
RankedPair = tuple[Rank, ScanPair]


def make_pair(source: Scanner, target: Scanner, ranked: RankedScans) -> Pair:
    """Pair two scanners with the scans chosen for the subjects that they share; maybe none."""
    candidates = {
        subject: tuple(product(ranked[source.label, subject], ranked[target.label, subject]))
        for subject in shared_subjects(ranked, source.label, target.label)
    }
    travelling_scans = tuple(choose_scan_pairs(candidates).values())
    repeats = _find_repeats(travelling_scans, ranked)
    return Pair(source, target, travelling_scans, repeats)


def choose_scan_pairs(candidates: Mapping[str, Sequence[ScanPair]]) -> dict[str, ScanPair]:
    """Choose the scans of each subject by `SCAN_RANKING`.

    A subject without scans of the shells that the others share is excluded.

    Parameters
    ----------
    candidates
        The possible pairs of scans of each subject.
    """
    choices = [
        _choose_with_shells(candidates, shells) for shells in _list_shared_shells(candidates)
    ]
    best = max(choices, key=_count_training_data, default={})
    return {subject: pair for subject, (_, pair) in best.items()}


def find_shared_shells(source: Scan, target: Scan) -> SharedShells:
    """Find the b-values of the shells that two scans share."""
    return _match_bvals(source.bvals, target.bvals)


def _find_repeats(
    travelling_scans: Sequence[ScanPair], ranked: RankedScans
) -> tuple[tuple[Scan, Scan], ...]:
    """Pair each target scan with another one of the same shells and as many directions."""
    repeats = []
    for source, scan in travelling_scans:
        shells = find_shared_shells(source, scan)
        directions = _count_directions((source, scan), shells)
        for repeat in ranked[scan.scanner_label, scan.subject]:
            if repeat is not scan and _count_directions((source, repeat), shells) == directions:
                repeats.append((repeat, scan))
                break
    return tuple(repeats)


def _list_shared_shells(candidates: Mapping[str, Sequence[ScanPair]]) -> list[SharedShells]:
    """List the sets of shells that some subject's scans share; alike ones count once."""
    options: dict[tuple[tuple[int, int], ...], SharedShells] = {}
    for pairs in candidates.values():
        for source, target in pairs:
            shells = find_shared_shells(source, target)
            if shells:
                options.setdefault(_round_shells(shells), shells)
    return list(options.values())


def _choose_with_shells(
    candidates: Mapping[str, Sequence[ScanPair]], shells: SharedShells
) -> dict[str, RankedPair]:
    """Choose the scans of each subject that has these shells on both scanners."""
    chosen = {}
    for subject, pairs in candidates.items():
        fitting = [pair for pair in pairs if _count_directions(pair, shells)]
        if fitting:
            ranked = [(_rank(pair, shells), pair) for pair in fitting]
            chosen[subject] = min(ranked, key=itemgetter(0))
    return chosen


def _rank(pair: ScanPair, shells: SharedShells) -> Rank:
    """Rank two scans, the best first."""
    source, target = pair
    acquisitions = tuple(scan.entities.get("acquisition", "") for scan in pair)
    directions = _count_directions(pair, shells)
    return -directions, _time_between(source, target), acquisitions, (source.name, target.name)


def _count_training_data(chosen: Mapping[str, RankedPair]) -> tuple[bool, int, int]:
    """Count what a choice of scans gives to train on: enough subjects, directions, subjects."""
    directions = -sum(rank[0] for rank, _ in chosen.values())
    return len(chosen) >= MIN_TRAVELLING, directions, len(chosen)


def _count_directions(pair: ScanPair, shells: SharedShells) -> int:
    """Count the directions of two scans in their shared shells; 0 if one lacks a shell."""
    source, target = pair
    counts = [_count_in_shell(source.bvals, bvalue) for bvalue, _ in shells]
    counts += [_count_in_shell(target.bvals, bvalue) for _, bvalue in shells]
    return sum(counts) if all(counts) else 0


def _time_between(source: Scan, target: Scan) -> timedelta:
    """Return the time between two scans; the longest possible if it is not known."""
    if source.acquired is None or target.acquired is None:
        return timedelta.max
    return abs(source.acquired - target.acquired)


def _round_shells(shells: SharedShells) -> tuple[tuple[int, int], ...]:
    """Give one key to shells whose b-values are the same but for scatter."""
    return tuple((_round_bvalue(source), _round_bvalue(target)) for source, target in shells)


def _round_bvalue(bvalue: float) -> int:
    return round(log(bvalue) / log(1 + SAME_SHELL_TOLERANCE))


@cache
def _match_bvals(source: Bvals, target: Bvals) -> SharedShells:
    source_bvalues = [shell.bvalue for shell in find_shells(np.array(source))]
    target_bvalues = [shell.bvalue for shell in find_shells(np.array(target))]
    matches = match_shells(source_bvalues, target_bvalues)
    return tuple((source_bvalues[i], target_bvalues[j]) for i, j in matches)


@cache
def _count_in_shell(bvals: Bvals, bvalue: float) -> int:
    """Count the directions of a shell; 0 if a scan has no such shell."""
    shells = find_shells(np.array(bvals))
    nearest = min(shells, key=lambda shell: abs(shell.bvalue - bvalue), default=None)
    if nearest is None or abs(nearest.bvalue - bvalue) > SAME_SHELL_TOLERANCE * bvalue:
        return 0
    return int(nearest.volumes.size)
