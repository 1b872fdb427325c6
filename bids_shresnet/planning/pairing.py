"""Which scanners are trained on: pairs of a source and a target, with the scans of their travelling subjects."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from itertools import permutations

from bids_shresnet.config import ALL_TARGETS, ScannerSettings
from bids_shresnet.errors import BadInput, Finding, InputMissing, UsageError
from bids_shresnet.pairs import Inventory, Pair
from bids_shresnet.scans import Scan, Scanner

MIN_TRAVELLING = 3  # subjects of a pair: one to train on, one to validate, one to test
SCAN_RANKING = "most directions, then acquisition, then file name"

RankedScans = Mapping[
    tuple[str, str], Sequence[Scan]
]  # (scanner label, subject) -> their scans, first the one that counts

logger = logging.getLogger(__name__)


def form_pairs(inventory: Inventory, settings: ScannerSettings) -> tuple[Pair, ...]:
    """Pairs of scanners that share at least `MIN_TRAVELLING` subjects, by target and source label.

    The target is --target, every scanner in turn if that is `all`, or else the scanner that lets most scans be
    harmonized, then the one with most directions, then the first by label; --pair names a source as well. Of several
    scans of a subject on a scanner the one counts that is first by `CHOICE`; --bids-filter-file overrides that.

    Raises
    ------
    InputMissing, UsageError
        If a flag names no scanner, or several.
    BadInput
        If there is no pair, or one that was asked for lacks travelling subjects.
    """
    ranked = rank_scans(inventory)
    asked = _resolve_scanner_pairs(inventory, ranked, settings)
    candidates = [_make_pair(source, target, ranked) for source, target in asked]
    pairs = tuple(pair for pair in candidates if len(pair.travelling_scans) >= MIN_TRAVELLING)
    if not pairs:
        raise BadInput(_no_pair_findings(inventory.scanners, asked, ranked))
    if settings.pair and len(pairs) < len(candidates):
        raise BadInput([_too_few_subjects(pair) for pair in candidates if pair not in pairs])
    for pair in candidates:
        if 0 < len(pair.travelling_scans) < MIN_TRAVELLING:
            text = "%s is not trained: %d travelling subjects, and %d are needed"
            logger.warning(text, pair.name, len(pair.travelling_scans), MIN_TRAVELLING)
    _log_chosen_scans(pairs, ranked)
    return pairs


def rank_scans(inventory: Inventory) -> RankedScans:
    """Scans of each scanner and subject, in the order of `CHOICE`."""
    groups: dict[tuple[str, str], list[Scan]] = {}
    for scan in inventory.scans:
        groups.setdefault((scan.scanner_label, scan.subject), []).append(scan)
    for group in groups.values():
        group.sort(
            key=lambda scan: (
                -scan.direction_count,
                scan.entities.get("acquisition", ""),
                scan.name,
            )
        )
    return groups


def _resolve_scanner_pairs(
    inventory: Inventory, ranked: RankedScans, settings: ScannerSettings
) -> list[tuple[Scanner, Scanner]]:
    """Source and target of all pairs that come into question."""
    scanners = inventory.scanners
    if settings.pair:
        named = [
            [_find_scanner("--pair", name, scanners) for name in text.split(":")]
            for text in settings.pair
        ]
        return [_check_distinct(source, target) for source, target in named]
    if settings.target == ALL_TARGETS:
        return sorted(
            permutations(scanners.values(), 2), key=lambda pair: (pair[1].label, pair[0].label)
        )
    goal = (
        _find_scanner("--target", settings.target, scanners)
        if settings.target
        else _choose_target(inventory, ranked)
    )
    return [(source, goal) for source in scanners.values() if source != goal] if goal else []


def _check_distinct(source: Scanner, target: Scanner) -> tuple[Scanner, Scanner]:
    """A pair is two scanners."""
    if source == target:
        msg = f"--pair: source and target are both {source.label}"
        raise UsageError(msg)
    return source, target


def _log_chosen_scans(pairs: Sequence[Pair], ranked: RankedScans) -> None:
    """Name the scan that stands for a subject wherever another could have."""
    chosen = {scan.image: scan for pair in pairs for both in pair.travelling_scans for scan in both}
    for scan in chosen.values():
        if (count := len(ranked[scan.scanner_label, scan.subject])) > 1:
            text = "of %d scans of sub-%s on %s, %s is the one to learn from (%s)"
            logger.info(text, count, scan.subject, scan.scanner_label, scan.name, SCAN_RANKING)


def _shared_subjects(ranked: RankedScans, first_label: str, second_label: str) -> list[str]:
    """Subjects scanned on both scanners, sorted."""
    return sorted(
        subject
        for label, subject in ranked
        if label == first_label and (second_label, subject) in ranked
    )


def _make_pair(source: Scanner, target: Scanner, ranked: RankedScans) -> Pair:
    """Pair the scans that stand for the shared subjects; there may be none."""
    subjects = _shared_subjects(ranked, source.label, target.label)
    travelling = [
        (ranked[source.label, subject][0], ranked[target.label, subject][0]) for subject in subjects
    ]
    return Pair(
        source, target, tuple(travelling), _find_repeats([there for _, there in travelling], ranked)
    )


def _find_repeats(scans: Sequence[Scan], ranked: RankedScans) -> tuple[tuple[Scan, Scan], ...]:
    """For each scan, the next one of the same subject on the same scanner with as many directions."""
    pairs = []
    for scan in scans:
        others = [one for one in ranked[scan.scanner_label, scan.subject] if one is not scan]
        pairs += [(one, scan) for one in others if one.direction_count == scan.direction_count][:1]
    return tuple(pairs)


def _find_scanner(flag: str, name: str, scanners: Mapping[str, Scanner]) -> Scanner:
    """Find the scanner with this label, or the only one with this part in its label or model."""
    wanted = name.casefold()
    exact = [s for s in scanners.values() if s.label.casefold() == wanted]
    partly = [
        s for s in scanners.values() if wanted in s.label.casefold() or wanted in s.model.casefold()
    ]
    found = exact or partly
    if not found:
        msg = f"{flag} {name}: no such scanner; the dataset has {', '.join(scanners) or 'none'}"
        raise InputMissing(msg)
    if len(found) > 1:
        msg = f"{flag} {name} names several scanners: {', '.join(s.label for s in found)}; give a whole label"
        raise UsageError(msg)
    return found[0]


def _choose_target(inventory: Inventory, ranked: RankedScans) -> Scanner | None:
    """Choose the target that lets most scans be harmonized, aloud; None if no two scanners share enough subjects."""
    scanners = inventory.scanners
    gains = {goal: _count_harmonizable_scans(goal, inventory, ranked) for goal in scanners}
    directions = {
        label: max(scan.direction_count for scan in inventory.scanner_scans(label))
        for label in scanners
    }
    best = min(scanners, key=lambda label: (-gains[label], -directions[label], label), default=None)
    if best is None or not gains[best]:
        return None
    others = ", ".join(f"{label}: {gain}" for label, gain in gains.items() if label != best)
    text = "target scanner: %s, to which %d scans can be harmonized (%s); --target chooses another"
    logger.info(text, best, gains[best], others)
    return scanners[best]


def _count_harmonizable_scans(target: str, inventory: Inventory, ranked: RankedScans) -> int:
    """Number of scans that can be harmonized to a scanner."""
    sources = [
        s
        for s in inventory.scanners
        if s != target and len(_shared_subjects(ranked, s, target)) >= MIN_TRAVELLING
    ]
    return sum(len(inventory.scanner_scans(source)) for source in sources)


def _too_few_subjects(pair: Pair) -> Finding:
    """Say that a pair that was asked for cannot be trained."""
    value = f"{len(pair.travelling_scans)} travelling subjects, and {MIN_TRAVELLING} are needed"
    return Finding(
        "error", pair.name, value, "Leave this --pair out, or scan more subjects on both."
    )


def _no_pair_findings(
    scanners: Collection[str], scanner_pairs: Sequence[tuple[Scanner, Scanner]], ranked: RankedScans
) -> list[Finding]:
    """Say what is needed, and what each scanner has."""
    if not scanners:
        remedy = "A pair needs scans of the same subjects on two scanners."
        return [Finding("error", "the dataset", "no usable scan of a known scanner", remedy)]
    goals = sorted({target.label for _, target in scanner_pairs})
    value = f"no scanner shares {MIN_TRAVELLING} subjects with {goals[0] if len(goals) == 1 else 'another one'}"
    remedy = f"Scan at least {MIN_TRAVELLING} subjects on both; or, if scans are under a wrong scanner, use"
    findings = [Finding("error", "the dataset", value, f"{remedy} --scanner-map.")]
    for label in scanners:
        shared = {
            other: len(_shared_subjects(ranked, label, other))
            for other in scanners
            if other != label
        }
        listed = (
            ", ".join(f"{count} with {other}" for other, count in shared.items() if count)
            or "none with any other"
        )
        value = f"{sum(scanner == label for scanner, _ in ranked)} subjects, of them {listed}"
        findings.append(
            Finding("error", f"scanner {label}", value, f"{MIN_TRAVELLING} are needed for a pair.")
        )
    return findings
