"""What was found and what would be done with it, as plain records: what --dry-run prints, as tables or as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_shresnet.diffusion.shells import find_shells
from bids_shresnet.errors import Finding
from bids_shresnet.inputs.sidecars import count_values
from bids_shresnet.outputs.history import Role, ScanRow
from bids_shresnet.pairs import Inventory, Pair, Selection
from bids_shresnet.scans import Scan, Scanner


@dataclass(frozen=True)
class ScannerRow:
    """A scanner, what the sidecars of its scans say of it, and the conflicts in its metadata.

    `named_by` is the source of its label; `echo_times` are in s.
    """

    label: str
    manufacturer: str
    model: str
    serial: str
    named_by: str
    institutions: tuple[str, ...]
    software_versions: tuple[str, ...]
    echo_times: tuple[str, ...]
    scans: int
    subjects: int
    conflicts: tuple[str, ...]


@dataclass(frozen=True)
class PairRow:
    """A pair of scanners, and the labels of its travelling subjects."""

    name: str
    source: str
    target: str
    travelling: tuple[str, ...]


@dataclass(frozen=True)
class Overview:
    """All that was found."""

    scanners: tuple[ScannerRow, ...]
    scans: tuple[ScanRow, ...]
    pairs: tuple[PairRow, ...]
    findings: tuple[Finding, ...]


def make_overview(
    inventory: Inventory, pairs: Sequence[Pair], selection: Selection, findings: Iterable[Finding]
) -> Overview:
    """Everything that was found and what would be done with it; every DWI of the dataset is in one row."""
    left_out = [
        ScanRow(
            file=str(scan.image),
            subject=scan.subject,
            session=scan.session,
            scanner=scan.scanner_label,
            shells="",
            reason=scan.reason,
        )
        for scan in inventory.excluded
    ]
    return Overview(
        scanners=tuple(_scanner_row(scanner, inventory) for scanner in inventory.scanners.values()),
        scans=(*_scan_rows(inventory, pairs, selection), *left_out),
        pairs=tuple(
            PairRow(
                p.name,
                p.source.label,
                p.target.label,
                tuple(scan.subject for scan, _ in p.travelling_scans),
            )
            for p in pairs
        ),
        findings=tuple(findings),
    )


def _scanner_row(scanner: Scanner, inventory: Inventory) -> ScannerRow:
    scans = inventory.scanner_scans(scanner.label)
    sidecars = [scan.metadata for scan in scans]
    return ScannerRow(
        label=scanner.label,
        manufacturer=scanner.manufacturer,
        model=scanner.model,
        serial=scanner.serial,
        named_by=scanner.named_by,
        institutions=tuple(count_values(sidecars, "InstitutionName")),
        software_versions=tuple(count_values(sidecars, "SoftwareVersions")),
        echo_times=tuple(count_values(sidecars, "EchoTime")),
        scans=len(scans),
        subjects=len({scan.subject for scan in scans}),
        conflicts=tuple(finding.value for finding in inventory.conflicts.get(scanner.label, ())),
    )


def _scan_rows(inventory: Inventory, pairs: Sequence[Pair], selection: Selection) -> list[ScanRow]:
    """Say of every usable scan what it is used for; one can be trained on and be harmonized."""
    travelling = [both for pair in pairs for both in pair.travelling_scans]
    used: dict[Role, set[Path]] = {
        "travelling source": {source.image for source, _ in travelling},
        "travelling target": {target.image for _, target in travelling},
        "to harmonize": {scan.image for scan in selection.scans},
    }
    reasons = {scan.image: scan.reason for scan in selection.excluded}
    rows = []
    for scan in inventory.scans:
        roles = tuple(role for role, images in used.items() if scan.image in images)
        unused = "" if roles else _training_exclusion_reason(scan, pairs)
        reason = reasons.get(scan.image, unused)
        rows.append(
            ScanRow(
                file=str(scan.image),
                subject=scan.subject,
                session=scan.session,
                scanner=scan.scanner_label,
                shells=_shell_summary(scan),
                roles=roles,
                reason=reason,
            )
        )
    return rows


def _training_exclusion_reason(scan: Scan, pairs: Sequence[Pair]) -> str:
    """Why no model learns from a usable scan."""
    own = [pair for pair in pairs if scan.scanner_label in (pair.source.label, pair.target.label)]
    if not own:
        return "its scanner is in no pair"
    if any(scan.subject == source.subject for pair in own for source, _ in pair.travelling_scans):
        return "another scan stands for this subject"
    return "the subject was not scanned on the other scanner of the pair"


def _shell_summary(scan: Scan) -> str:
    """Directions by shell, e.g. "50 x 1000 + 50 x 2000"."""
    shells = find_shells(np.array(scan.bvals))
    return " + ".join(f"{shell.volumes.size} x {round(shell.bvalue)}" for shell in shells)
