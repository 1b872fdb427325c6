"""Pairs of a source and a target scanner, with the scans of their travelling subjects."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from bids_shresnet.config import ScannerSettings
from bids_shresnet.diffusion.shells import MATCH_TOLERANCE
from bids_shresnet.errors import BadInput, Finding, Severity, pluralize
from bids_shresnet.inputs.filters import ROLE
from bids_shresnet.pairs import Inventory, Pair
from bids_shresnet.planning.ranking import RankedScans, rank_scans, shared_subjects
from bids_shresnet.planning.scan_choice import MIN_TRAVELLING, SCAN_RANKING, make_pair
from bids_shresnet.planning.scanner_choice import ScannerPair, choose_scanner_pairs
from bids_shresnet.scans import Scan

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pairing:
    """Pairs to train, and findings about the scanners and subjects that were excluded."""

    pairs: tuple[Pair, ...]
    findings: tuple[Finding, ...] = ()


def form_pairs(inventory: Inventory, settings: ScannerSettings) -> Pairing:
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
    candidates = [make_pair(source, target, ranked) for source, target in scanner_pairs]
    pairs = tuple(pair for pair in candidates if len(pair.travelling_scans) >= MIN_TRAVELLING)
    if not pairs:
        possible = candidates or _make_all_pairs(inventory, ranked)
        unmatched = _find_unmatched_subjects(possible, ranked, "error")
        raise BadInput(unmatched or _no_pair_findings(inventory.scanners, scanner_pairs, ranked))
    if settings.pair and len(pairs) < len(candidates):
        missing = [pair for pair in candidates if pair not in pairs]
        unmatched = _find_unmatched_subjects(missing, ranked, "error")
        raise BadInput([*map(_few_subjects_finding, missing), *unmatched])
    _log_chosen_scans(pairs, ranked)
    return Pairing(pairs, tuple(_find_left_out(candidates, ranked)))


def _make_all_pairs(inventory: Inventory, ranked: RankedScans) -> list[Pair]:
    """Pair all scanners that share enough subjects, whatever their shells."""
    return [
        make_pair(source, target, ranked)
        for source, target in combinations(inventory.scanners.values(), 2)
        if len(shared_subjects(ranked, source.label, target.label)) >= MIN_TRAVELLING
    ]


def _find_left_out(candidates: Iterable[Pair], ranked: RankedScans) -> list[Finding]:
    """Warn about pairs with too few subjects, and about subjects whose shells do not match."""
    candidates = tuple(candidates)
    findings = _find_unmatched_subjects(candidates, ranked, "warning")
    for pair in candidates:
        shared = shared_subjects(ranked, pair.source.label, pair.target.label)
        if shared and len(pair.travelling_scans) < MIN_TRAVELLING:
            value = (
                f"not trained: it has {_count_travelling(pair)}, and {MIN_TRAVELLING} are needed"
            )
            remedy = (
                "Scans of its source are not harmonized, unless more subjects are scanned on both."
            )
            findings.append(Finding.warning(pair.name, value, remedy))
    return findings


def _find_unmatched_subjects(
    candidates: Iterable[Pair], ranked: RankedScans, severity: Severity
) -> list[Finding]:
    """Find subjects scanned on both scanners of a pair, but not with the shells of the others."""
    findings = []
    for pair in candidates:
        chosen = {source.subject for source, _ in pair.travelling_scans}
        subjects = shared_subjects(ranked, pair.source.label, pair.target.label)
        for subject in subjects:
            if subject not in chosen:
                scan = ranked[pair.source.label, subject][0]
                findings.append(_unmatched_finding(scan, pair, severity))
    return findings


def _unmatched_finding(scan: Scan, pair: Pair, severity: Severity) -> Finding:
    """Describe a subject that cannot be trained on, by its scan on the source."""
    tolerance = f"{MATCH_TOLERANCE:.0%}".replace("%", " %")
    if pair.travelling_scans:
        value = f"not trained on for {pair.name}: it lacks a shell that the other subjects share"
        remedy = "Select its scans with --bids-filter-file, or leave it: the others are trained on."
    else:
        value = f"no b-value within {tolerance} of one of {pair.target.label}"
        remedy = "Harmonize to a scanner with similar b-values."
    return Finding(severity, str(scan.image), value, remedy)


def _log_chosen_scans(pairs: Sequence[Pair], ranked: RankedScans) -> None:
    """Tell how a scan was chosen where a subject has several, and which filter changes it."""
    travelling_scans = [scans for pair in pairs for scans in pair.travelling_scans]
    chosen = {scan.image: scan for scans in travelling_scans for scan in scans}
    ambiguous = [
        scan for scan in chosen.values() if len(ranked[scan.scanner_label, scan.subject]) > 1
    ]
    if not ambiguous:
        return
    scan = ambiguous[0]
    others = [other for other in ranked[scan.scanner_label, scan.subject] if other is not scan]
    text = (
        "one of several scans is trained on for %d subjects and scanners, such as %s, of %d of "
        "sub-%s on %s (%s)%s"
    )
    example = (scan.name, len(others) + 1, scan.subject, scan.scanner_label)
    logger.info(text, len(ambiguous), *example, SCAN_RANKING, _filter_hint(scan, others[0]))


def _filter_hint(scan: Scan, other: Scan) -> str:
    """Tell how to select the other of two scans: by the first entity that differs, if one does."""
    names = dict.fromkeys((*other.entities, *scan.entities))
    differing = (name for name in names if other.entities.get(name) != scan.entities.get(name))
    name = next(differing, None)
    if name is None:  # their names are equal, which is an error that is reported elsewhere
        return ""
    entity_filter = json.dumps({ROLE: {name: other.entities.get(name)}})
    return f"; --bids-filter-file with {entity_filter} selects another"


def _count_travelling(pair: Pair) -> str:
    count = len(pair.travelling_scans)
    return f"{count} travelling {pluralize('subject', count)}"


def _few_subjects_finding(pair: Pair) -> Finding:
    """Describe a pair of --pair that cannot be trained."""
    value = f"{_count_travelling(pair)}, and {MIN_TRAVELLING} are needed"
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
    subjects = f"{subject_count} {pluralize('subject', subject_count)}"
    value = f"{subjects}, of them {shared or 'none with any other'}"
    return Finding.error(f"scanner {label}", value, f"{MIN_TRAVELLING} are needed for a pair.")
