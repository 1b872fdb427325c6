"""Checks of the shells of a pair of scanners."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from bids_shresnet.diffusion.shells import ShellVolumes, find_shells
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.pairs import Pair
from bids_shresnet.planning.pair_shells import PairShells, count_axes, match_pair_shells
from bids_shresnet.scans import Scan, Shell


def find_scan_shells(scan: Scan) -> tuple[ShellVolumes, ...]:
    """Find the shells of a scan from its b-values."""
    return find_shells(np.array(scan.bvals))


def check_shells(
    pair: Pair, sh_order: int | None, *, predict_missing: bool = False
) -> list[Finding]:
    """Find shells that only one scanner has, and shells with too few directions.

    Parameters
    ----------
    pair
        Pair with at least one travelling subject.
    sh_order
        Order of --sh-order; None to choose it by the directions.
    predict_missing
        Whether shells that only the target has are predicted.
    """
    try:
        shells = match_pair_shells(pair, sh_order, should_predict_missing=predict_missing)
    except BadInput as error:
        return list(error.findings)
    is_order_requested = sh_order is not None
    return [
        *_check_unmatched_shells(pair, shells),
        *_check_direction_counts(pair, shells, is_order_requested=is_order_requested),
    ]


def _check_unmatched_shells(pair: Pair, shells: PairShells) -> list[Finding]:
    """Find the shells that only one scanner has."""
    source_scan, target_scan = pair.travelling_scans[0]
    predicted = (*shells.target, *shells.missing)
    return [
        *_find_unmatched(source_scan, shells.source, pair.name, pair.target.label),
        *_find_unmatched(target_scan, predicted, pair.name, pair.source.label),
    ]


def _find_unmatched(
    scan: Scan, matched: Iterable[Shell], pair_name: str, other_scanner: str
) -> list[Finding]:
    """Find the shells of a scan that are not matched."""
    bvalues = {shell.bvalue for shell in matched}
    unmatched = (shell for shell in find_scan_shells(scan) if shell.bvalue not in bvalues)
    findings = []
    for shell in unmatched:
        name = f"the shell b={shell.bvalue:.0f} of {scan.scanner_label}"
        value = f"{name} has no partner on {other_scanner}"
        remedy = "It is not used, and not in the harmonized scans."
        findings.append(Finding.warning(pair_name, value, remedy))
    return findings


def _check_direction_counts(
    pair: Pair, shells: PairShells, *, is_order_requested: bool
) -> list[Finding]:
    """Find shells with fewer directions than coefficients: the smoothing then decides."""
    findings = []
    for source_scan, target_scan in pair.travelling_scans:
        scan_shells = [(source_scan, shell) for shell in shells.source]
        scan_shells += [(target_scan, shell) for shell in shells.target]
        for scan, shell in scan_shells:
            count = _count_directions(scan, shell.bvalue)
            if count < shell.coefficient_count:
                finding = _few_directions_finding(
                    scan, shell, count, is_order_requested=is_order_requested
                )
                findings.append(finding)
    return findings


def _few_directions_finding(
    scan: Scan, shell: Shell, count: int, *, is_order_requested: bool
) -> Finding:
    """Describe a shell with too few directions; if the user chose the order, it is an error."""
    coefficients = f"order {shell.sh_order} has {shell.coefficient_count} coefficients"
    value = f"{count} directions at b={shell.bvalue:.0f}, and {coefficients}"
    if is_order_requested:
        remedy = "Ask for a lower --sh-order, or leave it to the app."
        return Finding.error(scan.image, value, remedy)
    remedy = "Its training data are uncertain: exclude this shell from the data."
    return Finding.warning(scan.image, value, remedy)


def _count_directions(scan: Scan, bvalue: float) -> int:
    """Count the different directions of the shell that is nearest in b."""
    shells = find_scan_shells(scan)
    nearest = min(shells, key=lambda shell: abs(shell.bvalue - bvalue))
    return count_axes(scan, nearest.volumes)
