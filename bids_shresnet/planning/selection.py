"""Which scans are harmonized, and why not the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from bids_shresnet.config import InputSettings
from bids_shresnet.errors import InputMissing, NothingSelected
from bids_shresnet.pairs import ExcludedScan, Inventory, Selection
from bids_shresnet.scans import Scan, Scanner

MAX_LISTED_LABELS = 10  # labels named in an error

LabelPair = tuple[
    str, str
]  # labels of a source and a target scanner that a model leads from and to


def select_scans(
    inventory: Inventory, label_pairs: Collection[LabelPair], settings: InputSettings
) -> Selection:
    """Choose the scans to harmonize, and say why not the others.

    Raises
    ------
    InputMissing
        If a participant or session that was asked for is not in the dataset.
    """
    _check_labels(inventory, settings)
    reasons = [(scan, _exclusion_reason(scan, label_pairs, settings)) for scan in inventory.scans]
    scans = tuple(scan for scan, reason in reasons if not reason)
    left_out = tuple(ExcludedScan.from_scan(scan, reason) for scan, reason in reasons if reason)
    return Selection(scans, left_out)


def stop_at_empty_selection(inventory: Inventory, selection: Selection, root: Path) -> None:
    """Stop where nothing is left to harmonize.

    Raises
    ------
    NothingSelected
        With all reasons and how often they apply.
    """
    if selection.scans:
        return
    counts = Counter(item.reason for item in (*selection.excluded, *inventory.excluded))
    lines = "".join(f"\n  {count} x {reason}" for reason, count in counts.most_common())
    msg = f"no scan of {root} is left to harmonize:{lines or ' it has no DWI'}"
    raise NothingSelected(msg)


def _check_labels(inventory: Inventory, settings: InputSettings) -> None:
    """Every label that was asked for must be in the dataset, though perhaps without usable DWI."""
    names = [scan.image.name for scan in inventory.scans] + [
        item.image.name for item in inventory.excluded
    ]
    folders = [
        path.name
        for pattern in ("sub-*", "sub-*/ses-*")
        for path in settings.bids_dir.glob(pattern)
    ]
    known = {*folders, *(part for name in names for part in name.split("_"))}
    for kind, prefix, labels in (
        ("participant", "sub-", settings.participant_label),
        ("session", "ses-", settings.session_label),
    ):
        unknown = [label for label in labels if prefix + label not in known]
        if unknown:
            there = sorted(part.removeprefix(prefix) for part in known if part.startswith(prefix))
            more = (
                f" and {len(there) - MAX_LISTED_LABELS} more"
                if len(there) > MAX_LISTED_LABELS
                else ""
            )
            found = f"no such {kind} in {settings.bids_dir}; there are {' '.join(there[:MAX_LISTED_LABELS]) or 'none'}{more}"
            msg = f"--{kind}-label {' '.join(unknown)}: {found}"
            raise InputMissing(msg)


def _exclusion_reason(
    scan: Scan, label_pairs: Collection[LabelPair], settings: InputSettings
) -> str:
    """Why a usable scan is not harmonized; empty if it is."""
    session = scan.entities.get("session")
    if settings.participant_label and scan.subject not in settings.participant_label:
        return "not asked for (--participant-label)"
    if settings.session_label and session is not None and session not in settings.session_label:
        return "not asked for (--session-label)"
    targets = {target for _, target in label_pairs}
    if any(source == scan.scanner_label for source, _ in label_pairs):
        return ""
    if scan.scanner_label in targets:
        return "already the target scanner"
    goal = " or ".join(sorted(targets)) or "any other"
    return f"no model from this scanner ({_scanner_description(scan.scanner)}) to {goal}; train one from subjects scanned on both"


def _scanner_description(scanner: Scanner | None) -> str:
    """Model and serial number, or the name the user gave."""
    if scanner is None:
        return "unknown"
    return f"{scanner.model}, serial {scanner.serial}" if scanner.serial else scanner.label
