"""Which scanners teach, and which scans are harmonized."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from bids_shresnet.config import Config
from bids_shresnet.errors import BadInput, Finding, InputMissing, NothingSelected, UsageError
from bids_shresnet.scans import Inventory, LeftOut, Pair, Scan, Scanner, Selection

MIN_TRAVELLING = 3  # subjects of a pair: one to train on, one to validate, one to test
LISTED = 10  # labels named in an error

Chosen = Mapping[tuple[str, str], Scan]  # (scanner label, subject) -> the scan that stands for them

logger = logging.getLogger(__name__)


def form_pairs(inventory: Inventory, target: str | None) -> tuple[Pair, ...]:
    """Pairs of the target with every scanner that shares at least `MIN_TRAVELLING` subjects with it, by source label.

    A subject with several scans on a scanner is represented by the one with most directions, then by name.
    `target` is a scanner's label or a part of label or model; by default the one that lets most scans be harmonized,
    then the one with most directions, then the first by label.

    Raises
    ------
    InputMissing, UsageError
        If `target` names no scanner, or several.
    BadInput
        If there is no pair; with a finding for each scanner.
    """
    chosen = _one_scan_each(inventory)
    goal = _named(target, inventory.scanners) if target else _most_useful(inventory, chosen)
    candidates = _pairs_to(goal, inventory, chosen) if goal else []
    pairs = tuple(pair for pair in candidates if len(pair.travelling) >= MIN_TRAVELLING)
    if not pairs:
        raise BadInput(_why_no_pair(inventory.scanners, goal, chosen))
    for pair in candidates:
        if pair not in pairs:
            text = "%s is not trained: %d travelling subjects, and %d are needed"
            logger.warning(text, pair.name, len(pair.travelling), MIN_TRAVELLING)
    return pairs


def select(inventory: Inventory, sources: Mapping[str, str], config: Config) -> Selection:
    """Choose the scans to harmonize, and say why not the others; `sources` maps source label to target label.

    Raises
    ------
    InputMissing
        If a participant or session that was asked for is not in the dataset.
    NothingSelected
        If no scan is left.
    """
    _check_labels(inventory, config)
    reasons = [(scan, _why_not(scan, sources, config)) for scan in inventory.scans]
    scans = tuple(scan for scan, reason in reasons if not reason)
    left_out = tuple(LeftOut(scan.image, reason) for scan, reason in reasons if reason)
    if not scans:
        counts = Counter(item.reason for item in (*left_out, *inventory.left_out))
        lines = "".join(f"\n  {count} x {reason}" for reason, count in counts.most_common())
        msg = f"no scan of {config.bids_dir} is left to harmonize:{lines or ' it has no DWI'}"
        raise NothingSelected(msg)
    return Selection(scans, left_out)


def _one_scan_each(inventory: Inventory) -> Chosen:
    """Choose the scan with most directions, then the first by name, for each scanner and subject."""
    groups: dict[tuple[str, str], list[Scan]] = {}
    for scan in inventory.scans:
        groups.setdefault((scan.scanner_label, scan.subject), []).append(scan)
    chosen = {key: min(group, key=lambda scan: (-scan.directions, scan.name)) for key, group in groups.items()}
    for (label, subject), scan in chosen.items():
        if (count := len(groups[label, subject])) > 1:
            text = "of %d scans of sub-%s on %s, %s is the one to learn from (most directions, then name)"
            logger.info(text, count, subject, label, scan.name)
    return chosen


def _shared(chosen: Chosen, one: str, other: str) -> list[str]:
    """Subjects scanned on both scanners, sorted."""
    return sorted(subject for label, subject in chosen if label == one and (other, subject) in chosen)


def _pairs_to(goal: Scanner, inventory: Inventory, chosen: Chosen) -> list[Pair]:
    """All pairs with at least one travelling subject."""
    pairs = []
    for label, source in inventory.scanners.items():
        subjects = [] if label == goal.label else _shared(chosen, label, goal.label)
        if subjects:
            travelling = tuple((chosen[label, subject], chosen[goal.label, subject]) for subject in subjects)
            pairs.append(Pair(source, goal, travelling, _repeats([there for _, there in travelling], inventory)))
    return pairs


def _repeats(scans: Sequence[Scan], inventory: Inventory) -> tuple[tuple[Scan, Scan], ...]:
    """For each scan, the first other one of the same subject on the same scanner with as many directions."""
    pairs = []
    for scan in scans:
        same = [one for one in inventory.scans_on(scan.scanner_label) if one.subject == scan.subject]
        others = [one for one in same if one.image != scan.image and one.directions == scan.directions]
        if others:
            pairs.append((min(others, key=lambda one: one.name), scan))
    return tuple(pairs)


def _named(target: str, scanners: Mapping[str, Scanner]) -> Scanner:
    """Find the scanner with this label, or the only one with this part in its label or model."""
    wanted = target.casefold()
    exact = [s for s in scanners.values() if s.label.casefold() == wanted]
    partly = [s for s in scanners.values() if wanted in s.label.casefold() or wanted in s.model.casefold()]
    found = exact or partly
    if not found:
        msg = f"--target {target}: no such scanner; the dataset has {', '.join(scanners) or 'none'}"
        raise InputMissing(msg)
    if len(found) > 1:
        msg = f"--target {target} names several scanners: {', '.join(s.label for s in found)}; give a whole label"
        raise UsageError(msg)
    return found[0]


def _most_useful(inventory: Inventory, chosen: Chosen) -> Scanner | None:
    """Choose the target that lets most scans be harmonized, aloud; None if no two scanners share enough subjects."""
    scanners = inventory.scanners
    gains = {goal: _gain(goal, inventory, chosen) for goal in scanners}
    directions = {label: max(scan.directions for scan in inventory.scans_on(label)) for label in scanners}
    best = min(scanners, key=lambda label: (-gains[label], -directions[label], label), default=None)
    if best is None or not gains[best]:
        return None
    others = ", ".join(f"{label}: {gain}" for label, gain in gains.items() if label != best)
    text = "target scanner: %s, to which %d scans can be harmonized (%s); --target chooses another"
    logger.info(text, best, gains[best], others)
    return scanners[best]


def _gain(goal: str, inventory: Inventory, chosen: Chosen) -> int:
    """Number of scans that can be harmonized to a scanner."""
    sources = [s for s in inventory.scanners if s != goal and len(_shared(chosen, s, goal)) >= MIN_TRAVELLING]
    return sum(len(inventory.scans_on(source)) for source in sources)


def _why_no_pair(scanners: Collection[str], goal: Scanner | None, chosen: Chosen) -> list[Finding]:
    """Say what is needed, and what each scanner has."""
    if not scanners:
        remedy = "A pair needs scans of the same subjects on two scanners."
        return [Finding("error", "the dataset", "no usable scan of a known scanner", remedy)]
    value = f"no scanner shares {MIN_TRAVELLING} subjects with {goal.label if goal else 'another one'}"
    remedy = f"Scan at least {MIN_TRAVELLING} subjects on both; or, if scans are under a wrong scanner, use"
    findings = [Finding("error", "the dataset", value, f"{remedy} --scanner-map.")]
    for label in scanners:
        shared = {other: len(_shared(chosen, label, other)) for other in scanners if other != label}
        listed = ", ".join(f"{count} with {other}" for other, count in shared.items() if count) or "none with any other"
        value = f"{sum(scanner == label for scanner, _ in chosen)} subjects, of them {listed}"
        findings.append(Finding("error", f"scanner {label}", value, f"{MIN_TRAVELLING} are needed for a pair."))
    return findings


def _check_labels(inventory: Inventory, config: Config) -> None:
    """Every label that was asked for must be in the dataset, though perhaps without usable DWI."""
    names = [scan.image.name for scan in inventory.scans] + [item.file.name for item in inventory.left_out]
    folders = [path.name for pattern in ("sub-*", "sub-*/ses-*") for path in config.bids_dir.glob(pattern)]
    known = {*folders, *(part for name in names for part in name.split("_"))}
    for kind, prefix, labels in (
        ("participant", "sub-", config.participant_label),
        ("session", "ses-", config.session_label),
    ):
        unknown = [label for label in labels if prefix + label not in known]
        if unknown:
            there = sorted(part.removeprefix(prefix) for part in known if part.startswith(prefix))
            more = f" and {len(there) - LISTED} more" if len(there) > LISTED else ""
            found = f"no such {kind} in {config.bids_dir}; there are {' '.join(there[:LISTED]) or 'none'}{more}"
            msg = f"--{kind}-label {' '.join(unknown)}: {found}"
            raise InputMissing(msg)


def _why_not(scan: Scan, sources: Mapping[str, str], config: Config) -> str:
    """Why a usable scan is not harmonized; empty if it is."""
    session = scan.entities.get("session")
    if config.participant_label and scan.subject not in config.participant_label:
        return "not asked for (--participant-label)"
    if config.session_label and session is not None and session not in config.session_label:
        return "not asked for (--session-label)"
    if scan.scanner_label in sources:
        return ""
    if scan.scanner_label in sources.values():
        return "already the target scanner"
    goal = " or ".join(sorted(set(sources.values()))) or "any other"
    return f"no model from this scanner ({_described(scan.scanner)}) to {goal}; train one from subjects scanned on both"


def _described(scanner: Scanner | None) -> str:
    """Model and serial number, or the name the user gave."""
    if scanner is None:
        return "unknown"
    return f"{scanner.model}, serial {scanner.serial}" if scanner.serial else scanner.label
