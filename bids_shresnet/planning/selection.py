"""The scans to harmonize, and why the others are not harmonized."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

from bids_shresnet.config import InputSettings
from bids_shresnet.errors import InputMissing, NothingSelected, join_some
from bids_shresnet.pairs import NOT_REQUESTED, ExcludedScan, Inventory, Selection
from bids_shresnet.planning.requirements import Requirements
from bids_shresnet.scans import Scan, Scanner

MAX_LISTED_LABELS = 10  # labels named in an error

TARGET_REASON = "already the target scanner"


def select_scans(
    inventory: Inventory, requirements: Sequence[Requirements], settings: InputSettings
) -> Selection:
    """Choose the scans to harmonize and those of the targets; what is not harmonized gets a reason.

    Raises
    ------
    InputMissing
        If a participant or session that was asked for is not in the dataset.
    """
    _check_labels(inventory, settings)
    selected = []
    target_scans = []
    excluded = []
    for scan in inventory.scans:
        flag = _excluding_flag(scan, settings)
        reason = f"{NOT_REQUESTED} ({flag})" if flag else _exclusion_reason(scan, requirements)
        target_reason = flag or _target_exclusion_reason(scan, requirements)
        if not target_reason:
            target_scans.append(scan)
        if reason:
            excluded.append(ExcludedScan.from_scan(scan, reason))
        else:
            selected.append(scan)
    return Selection(tuple(selected), tuple(excluded), tuple(target_scans))


def stop_at_empty_selection(inventory: Inventory, selection: Selection, root: Path) -> None:
    """Stop if there is nothing to write.

    Raises
    ------
    NothingSelected
        With all reasons and how often they apply.
    """
    if selection.written_scans:
        return
    counts = Counter(scan.reason for scan in (*selection.excluded, *inventory.excluded))
    lines = "".join(f"\n  {count} x {reason}" for reason, count in counts.most_common())
    msg = f"no scan of {root} is left to harmonize:{lines or ' it has no DWI'}"
    raise NothingSelected(msg)


def _check_labels(inventory: Inventory, settings: InputSettings) -> None:
    """Check that all labels asked for are in the dataset, even if without usable DWI."""
    root = settings.bids_dir
    subjects = {path.name for path in root.glob("sub-*")}
    sessions = {path.name for path in root.glob("sub-*/ses-*")}
    scans: tuple[Scan | ExcludedScan, ...] = (*inventory.scans, *inventory.excluded)
    for scan in scans:  # also those of derivatives
        if scan.subject:
            subjects.add(f"sub-{scan.subject}")
        if scan.session:
            sessions.add(f"ses-{scan.session}")
    _check_known("participant", settings.participant_label, subjects, root)
    _check_known("session", settings.session_label, sessions, root)


def _check_known(kind: str, labels: Collection[str], names: Collection[str], root: Path) -> None:
    """Raise InputMissing for labels that no `sub-` or `ses-` name has."""
    known = sorted(name.partition("-")[2] for name in names)
    unknown = [label for label in labels if label not in known]
    if unknown:
        listed = join_some(known, MAX_LISTED_LABELS, separator=" ") or "none"
        problem = f"no such {kind} in {root}; there are {listed}"
        msg = f"--{kind}-label {' '.join(unknown)}: {problem}"
        raise InputMissing(msg)


def _exclusion_reason(scan: Scan, requirements: Sequence[Requirements]) -> str:
    """Return why no model takes a usable scan; empty if one does."""
    label = scan.scanner_label
    mismatches = [model.source_mismatch(scan) for model in requirements if model.source == label]
    if mismatches:
        return "; ".join(mismatches) if all(mismatches) else ""
    targets = {model.target for model in requirements}
    if label in targets:
        return _target_exclusion_reason(scan, requirements) or TARGET_REASON
    scanner = _scanner_description(scan.scanner)
    target = " or ".join(sorted(targets)) or "any other"
    missing = f"no model from this scanner ({scanner}) to {target}"
    return f"{missing}; train one from subjects scanned on both"


def _target_exclusion_reason(scan: Scan, requirements: Sequence[Requirements]) -> str:
    """Return why a scan gets no maps as one of a target; empty if it does."""
    models = (model for model in requirements if model.target == scan.scanner_label)
    first = next(models, None)  # the one whose target's scans are denoised
    return first.target_mismatch(scan) if first else "of no target scanner"


def _excluding_flag(scan: Scan, settings: InputSettings) -> str:
    """Return the flag that leaves a scan out; empty if it was asked for."""
    if settings.participant_label and scan.subject not in settings.participant_label:
        return "--participant-label"
    if settings.session_label and scan.session and scan.session not in settings.session_label:
        return "--session-label"
    return ""


def _scanner_description(scanner: Scanner | None) -> str:
    """Return model and serial number, or the label that the user gave."""
    if scanner is None:
        return "unknown"
    return f"{scanner.model}, serial {scanner.serial}" if scanner.serial else scanner.label
