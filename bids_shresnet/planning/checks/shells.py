"""What is wrong or odd about the shells of a pair of scanners."""

from __future__ import annotations

import numpy as np

from bids_shresnet.diffusion.shells import PairShells, find_shells, pair_shells
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.pairs import Pair
from bids_shresnet.scans import Scan


def shell_faults(pair: Pair, sh_order: int | None, *, predict_missing: bool = False) -> list[Finding]:
    """Whether the scanners share shells, which have no partner, and which have too few directions."""
    try:
        shells = pair_shells(pair, sh_order, predict_missing=predict_missing)
    except BadInput as error:
        return list(error.findings)
    return [*_without_partner(pair, shells), *_too_few_directions(pair, shells, requested=sh_order is not None)]


def _without_partner(pair: Pair, shells: PairShells) -> list[Finding]:
    """Find the shells that only one of the two has."""
    findings = []
    scans, partners = pair.travelling[0], (shells.source, (*shells.target, *shells.missing))
    for scan, used, other in zip(scans, partners, (pair.target.label, pair.source.label), strict=True):
        for shell in find_shells(np.array(scan.bvals)):
            if all(shell.bvalue != one.bvalue for one in used):
                value = f"the shell b={shell.bvalue:.0f} of {scan.scanner_label} has no partner on {other}"
                findings.append(
                    Finding("warning", pair.name, value, "It is not used, and not in the harmonized scans.")
                )
    return findings


def _too_few_directions(pair: Pair, shells: PairShells, *, requested: bool) -> list[Finding]:
    """Find shells with fewer directions than coefficients, which then follow from the smoothing alone."""
    return [
        _few(scan, shell.bvalue, count, shell.sh_order, shell.coefficients, requested=requested)
        for both in pair.travelling
        for scan, used in zip(both, (shells.source, shells.target), strict=True)
        for shell in used
        if (count := _directions(scan, shell.bvalue)) < shell.coefficients
    ]


def _few(scan: Scan, bvalue: float, count: int, sh_order: int, coefficients: int, *, requested: bool) -> Finding:
    value = f"{count} directions at b={bvalue:.0f}, and order {sh_order} has {coefficients} coefficients"
    if requested:
        return Finding("error", str(scan.image), value, "Ask for a lower --sh-order, or leave it to the app.")
    return Finding("warning", str(scan.image), value, "What it teaches is uncertain: leave this shell out of the data.")


def _directions(scan: Scan, bvalue: float) -> int:
    """Count the directions of the shell that is nearest in b."""
    shells = find_shells(np.array(scan.bvals))
    return int(min(shells, key=lambda shell: abs(shell.bvalue - bvalue)).volumes.size)
