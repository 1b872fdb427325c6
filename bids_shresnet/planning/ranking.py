"""The scans of each subject on each scanner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bids_shresnet.pairs import Inventory
from bids_shresnet.scans import Scan

# By scanner label and subject, the scan with most directions first
RankedScans = Mapping[tuple[str, str], Sequence[Scan]]


def rank_scans(inventory: Inventory) -> RankedScans:
    """Order scans by their number of directions, then by acquisition and name."""
    groups: dict[tuple[str, str], list[Scan]] = {}
    for scan in inventory.scans:
        groups.setdefault((scan.scanner_label, scan.subject), []).append(scan)
    for group in groups.values():
        group.sort(key=_rank)
    return groups


def shared_subjects(ranked: RankedScans, first_label: str, second_label: str) -> list[str]:
    """Return the labels of subjects scanned on both scanners, sorted."""
    subjects = (subject for label, subject in ranked if label == first_label)
    return sorted(subject for subject in subjects if (second_label, subject) in ranked)


def _rank(scan: Scan) -> tuple[int, str, str]:
    return -scan.direction_count, scan.entities.get("acquisition", ""), scan.name
