"""What is wrong or odd about the shells of a pair of scanners."""

from __future__ import annotations

import numpy as np

from bids_shresnet.diffusion.shells import PairShells, find_shells, match_pair_shells
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.pairs import Pair
from bids_shresnet.scans import Scan


def check_shells(
    pair: Pair, sh_order: int | None, *, predict_missing: bool = False
) -> list[Finding]:
    """Whether the scanners share shells, which have no partner, and which have too few directions."""
    try:
        shells = match_pair_shells(pair, sh_order, should_predict_missing=predict_missing)
    except BadInput as error:
        return list(error.findings)
    return [
        *_check_unmatched_shells(pair, shells),
        *_check_direction_counts(pair, shells, is_order_requested=sh_order is not None),
    ]


def _check_unmatched_shells(pair: Pair, shells: PairShells) -> list[Finding]:
    """Find the shells that only one of the two has."""
    findings = []
    scans, partners = pair.travelling_scans[0], (shells.source, (*shells.target, *shells.missing))
    for scan, used, other in zip(
        scans, partners, (pair.target.label, pair.source.label), strict=True
    ):
        for shell in find_shells(np.array(scan.bvals)):
            if all(shell.bvalue != one.bvalue for one in used):
                value = f"the shell b={shell.bvalue:.0f} of {scan.scanner_label} has no partner on {other}"
                findings.append(
                    Finding(
                        "warning",
                        pair.name,
                        value,
                        "It is not used, and not in the harmonized scans.",
                    )
                )
    return findings


def _check_direction_counts(
    pair: Pair, shells: PairShells, *, is_order_requested: bool
) -> list[Finding]:
    """Find shells with fewer directions than coefficients, which then follow from the smoothing alone."""
    return [
        _too_few_directions_finding(
            scan,
            shell.bvalue,
            count,
            shell.sh_order,
            shell.coefficient_count,
            is_order_requested=is_order_requested,
        )
        for both in pair.travelling_scans
        for scan, used in zip(both, (shells.source, shells.target), strict=True)
        for shell in used
        if (count := _count_directions(scan, shell.bvalue)) < shell.coefficient_count
    ]


def _too_few_directions_finding(
    scan: Scan,
    bvalue: float,
    count: int,
    sh_order: int,
    coefficients: int,
    *,
    is_order_requested: bool,
) -> Finding:
    value = f"{count} directions at b={bvalue:.0f}, and order {sh_order} has {coefficients} coefficients"
    if is_order_requested:
        return Finding(
            "error", str(scan.image), value, "Ask for a lower --sh-order, or leave it to the app."
        )
    return Finding(
        "warning",
        str(scan.image),
        value,
        "Its training data are uncertain: exclude this shell from the data.",
    )


def _count_directions(scan: Scan, bvalue: float) -> int:
    """Count the directions of the shell that is nearest in b."""
    shells = find_shells(np.array(scan.bvals))
    return int(min(shells, key=lambda shell: abs(shell.bvalue - bvalue)).volumes.size)
