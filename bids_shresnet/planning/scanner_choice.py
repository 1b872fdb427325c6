"""The scanners that the user asks for with --target and --pair, and the default target."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import permutations

from bids_shresnet.config import ALL_TARGETS, ScannerSettings
from bids_shresnet.errors import InputMissing, UsageError
from bids_shresnet.pairs import Inventory, Pair
from bids_shresnet.planning.ranking import RankedScans
from bids_shresnet.planning.requirements import Requirements
from bids_shresnet.planning.scan_choice import MIN_TRAVELLING, make_pair
from bids_shresnet.scans import Scanner

ScannerPair = tuple[Scanner, Scanner]  # source and target

logger = logging.getLogger(__name__)


def choose_scanner_pairs(
    inventory: Inventory, ranked: RankedScans, settings: ScannerSettings
) -> list[ScannerPair]:
    """Return the pairs of scanners to train, however many subjects they share.

    Raises
    ------
    InputMissing, UsageError
        If a flag names no scanner, or several.
    """
    scanners = inventory.scanners
    if settings.pair:
        return [_parse_pair(text, scanners) for text in settings.pair]
    if settings.target == ALL_TARGETS:
        pairs = permutations(scanners.values(), 2)
        return sorted(pairs, key=lambda pair: (pair[1].label, pair[0].label))
    if settings.target:
        target: Scanner | None = find_scanner("--target", settings.target, scanners)
    else:
        target = _choose_target(inventory, ranked)
    if target is None:
        return []
    return [(source, target) for source in scanners.values() if source != target]


def _parse_pair(text: str, scanners: Mapping[str, Scanner]) -> ScannerPair:
    """Find the scanners of a --pair SOURCE:TARGET, which must be two."""
    source_name, target_name = text.split(":")
    source = find_scanner("--pair", source_name, scanners)
    target = find_scanner("--pair", target_name, scanners)
    if source == target:
        msg = f"--pair: source and target are both {source.label}"
        raise UsageError(msg)
    return source, target


def find_scanner(flag: str, name: str, scanners: Mapping[str, Scanner]) -> Scanner:
    """Find the scanner with this label, or the only one with this text in its label or model.

    Raises
    ------
    InputMissing, UsageError
        If there is none, or several; the message names the flag.
    """
    text = name.casefold()
    exact = [scanner for scanner in scanners.values() if scanner.label.casefold() == text]
    partial = [
        scanner
        for scanner in scanners.values()
        if text in scanner.label.casefold() or text in scanner.model.casefold()
    ]
    matches = exact or partial
    if not matches:
        labels = ", ".join(scanners) or "none"
        msg = f"{flag} {name}: no such scanner; the dataset has {labels}"
        raise InputMissing(msg)
    if len(matches) > 1:
        labels = ", ".join(scanner.label for scanner in matches)
        msg = f"{flag} {name} names several scanners: {labels}; give a whole label"
        raise UsageError(msg)
    return matches[0]


def _choose_target(inventory: Inventory, ranked: RankedScans) -> Scanner | None:
    """Choose the target that lets most scans be harmonized, and log it.

    Between equals, the scanner with most directions counts, then the first by label. None if no two
    scanners share enough subjects.
    """
    scanners = inventory.scanners
    gains = {label: _count_harmonizable_scans(label, inventory, ranked) for label in scanners}
    if not any(gains.values()):
        return None

    def rank(label: str) -> tuple[int, int, str]:
        directions = max(scan.direction_count for scan in inventory.scanner_scans(label))
        return -gains[label], -directions, label

    best = min(scanners, key=rank)
    others = ", ".join(f"{label}: {gain}" for label, gain in gains.items() if label != best)
    text = "target scanner: %s, to which %d scans can be harmonized (%s); --target chooses another"
    logger.info(text, best, gains[best], others)
    return scanners[best]


def _count_harmonizable_scans(target: str, inventory: Inventory, ranked: RankedScans) -> int:
    """Count the scans that models trained on the dataset can harmonize to a scanner."""
    scanners = inventory.scanners
    sources = (scanner for label, scanner in scanners.items() if label != target)
    pairs = [make_pair(source, scanners[target], ranked) for source in sources]
    trainable = [pair for pair in pairs if len(pair.travelling_scans) >= MIN_TRAVELLING]
    return sum(_count_taken_scans(pair, inventory) for pair in trainable)


def _count_taken_scans(pair: Pair, inventory: Inventory) -> int:
    """Count the scans of the source that a model of the pair takes."""
    requirements = Requirements.of_pair(pair)
    scans = inventory.scanner_scans(pair.source.label)
    return sum(not requirements.source_mismatch(scan) for scan in scans)
