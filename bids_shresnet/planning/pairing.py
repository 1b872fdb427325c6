"""Pairs of a source and a target scanner, with the scans of their travelling subjects."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence

from bids_shresnet.config import ScannerSettings
from bids_shresnet.errors import BadInput, Finding
from bids_shresnet.pairs import Inventory, Pair
from bids_shresnet.planning.ranking import (
    SCAN_RANKING,
    RankedScans,
    rank_scans,
    shared_subjects,
)
from bids_shresnet.planning.scanner_choice import (
    MIN_TRAVELLING,
    ScannerPair,
    choose_scanner_pairs,
)
from bids_shresnet.scans import Scan, Scanner

logger = logging.getLogger(__name__)


def form_pairs(inventory: Inventory, settings: ScannerSettings) -> tuple[Pair, ...]:
    """Form the pairs of scanners that share at least `MIN_TRAVELLING` subjects.

    They are sorted by target and source label. The target is --target, or every scanner in turn if
    that is `all`, or by default the scanner that lets most scans be harmonized; --pair names a
    source as well. A subject with several scans on a scanner is represented by the first by
    `SCAN_RANKING`; --bids-filter-file overrides that.

    Raises
    ------
    InputMissing, UsageError
        If a flag names no scanner, or several.
    BadInput
        If there is no pair, or one that was asked for lacks travelling subjects.
    """
    ranked = rank_scans(inventory)
    scanner_pairs = choose_scanner_pairs(inventory, ranked, settings)
    candidates = [_make_pair(source, target, ranked) for source, target in scanner_pairs]
    pairs = tuple(pair for pair in candidates if len(pair.travelling_scans) >= MIN_TRAVELLING)
    if not pairs:
        raise BadInput(_no_pair_findings(inventory.scanners, scanner_pairs, ranked))
    if settings.pair and len(pairs) < len(candidates):
        missing = [pair for pair in candidates if pair not in pairs]
        raise BadInput([_few_subjects_finding(pair) for pair in missing])
    for pair in candidates:
        if 0 < len(pair.travelling_scans) < MIN_TRAVELLING:
            text = "%s is not trained: %d travelling subjects, and %d are needed"
            logger.warning(text, pair.name, len(pair.travelling_scans), MIN_TRAVELLING)
    _log_chosen_scans(pairs, ranked)
    return pairs


def _make_pair(source: Scanner, target: Scanner, ranked: RankedScans) -> Pair:
    """Pair the scans that represent the shared subjects; there may be none."""
    travelling_scans = tuple(
        (ranked[source.label, subject][0], ranked[target.label, subject][0])
        for subject in shared_subjects(ranked, source.label, target.label)
    )
    repeats = _find_repeats([target_scan for _, target_scan in travelling_scans], ranked)
    return Pair(source, target, travelling_scans, repeats)


def _find_repeats(scans: Sequence[Scan], ranked: RankedScans) -> tuple[tuple[Scan, Scan], ...]:
    """Pair each scan with the next one of the same subject and scanner with as many directions."""
    pairs = []
    for scan in scans:
        for repeat in ranked[scan.scanner_label, scan.subject]:
            if repeat is not scan and repeat.direction_count == scan.direction_count:
                pairs.append((repeat, scan))
                break
    return tuple(pairs)


def _log_chosen_scans(pairs: Sequence[Pair], ranked: RankedScans) -> None:
    """Name the scan that represents a subject wherever there are others."""
    travelling_scans = [scans for pair in pairs for scans in pair.travelling_scans]
    chosen = {scan.image: scan for scans in travelling_scans for scan in scans}
    for scan in chosen.values():
        count = len(ranked[scan.scanner_label, scan.subject])
        if count > 1:
            text = "of %d scans of sub-%s on %s, %s is trained on (%s)"
            logger.info(text, count, scan.subject, scan.scanner_label, scan.name, SCAN_RANKING)


def _few_subjects_finding(pair: Pair) -> Finding:
    """Describe a pair of --pair that cannot be trained."""
    value = f"{len(pair.travelling_scans)} travelling subjects, and {MIN_TRAVELLING} are needed"
    return Finding.error(pair.name, value, "Leave this --pair out, or scan more subjects on both.")


def _no_pair_findings(
    scanners: Collection[str], scanner_pairs: Sequence[ScannerPair], ranked: RankedScans
) -> list[Finding]:
    """Describe what a pair needs, and what each scanner has."""
    if not scanners:
        remedy = "A pair needs scans of the same subjects on two scanners."
        return [Finding.error("the dataset", "no usable scan of a known scanner", remedy)]
    targets = {target.label for _, target in scanner_pairs}
    partner = targets.pop() if len(targets) == 1 else "another one"
    value = f"no scanner shares {MIN_TRAVELLING} subjects with {partner}"
    remedy = (
        f"Scan at least {MIN_TRAVELLING} subjects on both; or, if scans are under a wrong scanner, "
        "use --scanner-map."
    )
    findings = [Finding.error("the dataset", value, remedy)]
    return findings + [_shared_subjects_finding(label, scanners, ranked) for label in scanners]


def _shared_subjects_finding(label: str, scanners: Collection[str], ranked: RankedScans) -> Finding:
    """Count the subjects that a scanner shares with each other one."""
    others = (other for other in scanners if other != label)
    counts = {other: len(shared_subjects(ranked, label, other)) for other in others}
    shared = ", ".join(f"{count} with {other}" for other, count in counts.items() if count)
    subject_count = sum(scanner == label for scanner, _ in ranked)
    value = f"{subject_count} subjects, of them {shared or 'none with any other'}"
    return Finding.error(f"scanner {label}", value, f"{MIN_TRAVELLING} are needed for a pair.")
