"""Which shells two scanners share; a file of its own, so that a dry run need not load what training needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bids_shresnet.diffusion.gradients import ShellVolumes, find_shells, match_shells
from bids_shresnet.diffusion.harmonics import order_for
from bids_shresnet.diffusion.representation import volumes_of
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.scans import Pair, Scan, Shell


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


def pair_shells(pair: Pair, sh_order: int | None, *, predict_missing: bool = False) -> PairShells:
    """Shells that scanners of a pair share, from the first travelling subject, and in which all others must agree.

    With `predict_missing` also those that only the target has.

    Raises
    ------
    BadInput
        If no b-values are partners, or a subject lacks one; every subject is named.
    """
    first_source, first_target = (find_shells(np.array(scan.bvals)) for scan in pair.travelling[0])
    partners = match_shells([s.bvalue for s in first_source], [s.bvalue for s in first_target])
    if not partners:
        scan = pair.travelling[0][0]
        value = f"no b-value within 25 % of one of {pair.target.label}"
        raise BadInput([Finding("error", str(scan.image), value, "Harmonize to a scanner with similar b-values.")])

    def fitted(shell: ShellVolumes) -> Shell:
        return Shell(shell.bvalue, order_for(len(shell.volumes), sh_order))

    source = tuple(fitted(first_source[i]) for i, _ in partners)
    target = tuple(fitted(first_target[j]) for _, j in partners)
    shared = {j for _, j in partners}
    missing = tuple(fitted(s) for j, s in enumerate(first_target) if predict_missing and j not in shared)
    findings = [
        *(finding for scan, _ in pair.travelling for finding in _lacking(scan, source)),
        *(finding for _, scan in pair.travelling for finding in _lacking(scan, (*target, *missing))),
    ]
    if findings:
        raise BadInput(findings)
    return PairShells(source, target, missing)


def _lacking(scan: Scan, shells: Sequence[Shell]) -> list[Finding]:
    try:
        volumes_of(np.array(scan.bvals), shells)
    except ValueError as error:
        return [
            Finding("error", str(scan.image), str(error), "Leave this session out, or train it as another scanner.")
        ]
    return []
