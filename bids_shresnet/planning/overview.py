"""The scanners, scans, pairs and findings of a plan as plain records, for --dry-run and reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bids_shresnet.errors import Finding
from bids_shresnet.inputs.sidecars import count_values
from bids_shresnet.outputs.runs.history import Role, ScanRow
from bids_shresnet.pairs import ExcludedScan, Inventory, Pair, Selection
from bids_shresnet.planning.checks.shells import find_scan_shells
from bids_shresnet.scans import Scan, Scanner


@dataclass(frozen=True)
class ScannerRow:
    """A scanner, the values in the sidecars of its scans, and conflicts in its metadata.

    Attributes
    ----------
    label, manufacturer, model, serial, named_by
        See `Scanner`.
    institutions, software_versions, echo_times
        Values in the sidecars; echo times in s.
    scans, subjects
        Their numbers.
    conflicts
        Conflicts in its metadata, in words.
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
    """The content of a dataset and its use; every DWI has one row in `scans`."""

    scanners: tuple[ScannerRow, ...]
    scans: tuple[ScanRow, ...]
    pairs: tuple[PairRow, ...]
    findings: tuple[Finding, ...]


def make_overview(
    inventory: Inventory, pairs: Sequence[Pair], selection: Selection, findings: Iterable[Finding]
) -> Overview:
    """Describe a dataset, and the use of each of its DWI."""
    scanners = inventory.scanners.values()
    excluded = (_excluded_row(scan) for scan in inventory.excluded)
    return Overview(
        scanners=tuple(_scanner_row(scanner, inventory) for scanner in scanners),
        scans=(*_scan_rows(inventory, pairs, selection), *excluded),
        pairs=tuple(_pair_row(pair) for pair in pairs),
        findings=tuple(findings),
    )


def _scanner_row(scanner: Scanner, inventory: Inventory) -> ScannerRow:
    scans = inventory.scanner_scans(scanner.label)
    sidecars = [scan.metadata for scan in scans]
    conflicts = inventory.conflicts.get(scanner.label, ())
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
        conflicts=tuple(conflict.value for conflict in conflicts),
    )


def _pair_row(pair: Pair) -> PairRow:
    return PairRow(
        name=pair.name,
        source=pair.source.label,
        target=pair.target.label,
        travelling=tuple(source_scan.subject for source_scan, _ in pair.travelling_scans),
    )


def _excluded_row(scan: ExcludedScan) -> ScanRow:
    return ScanRow(
        file=str(scan.image),
        subject=scan.subject,
        session=scan.session,
        scanner=scan.scanner_label,
        shells="",
        reason=scan.reason,
    )


def _scan_rows(inventory: Inventory, pairs: Sequence[Pair], selection: Selection) -> list[ScanRow]:
    """Describe the use of every usable scan; one may be trained on and be harmonized."""
    images_by_role = _images_by_role(pairs, selection)
    reasons = {scan.image: scan.reason for scan in selection.excluded}
    rows = []
    for scan in inventory.scans:
        roles = tuple(role for role, images in images_by_role.items() if scan.image in images)
        unused = "" if roles else _training_exclusion_reason(scan, pairs)
        row = ScanRow(
            file=str(scan.image),
            subject=scan.subject,
            session=scan.session,
            scanner=scan.scanner_label,
            shells=_shell_summary(scan),
            roles=roles,
            reason=reasons.get(scan.image, unused),
        )
        rows.append(row)
    return rows


def _images_by_role(pairs: Sequence[Pair], selection: Selection) -> dict[Role, set[Path]]:
    """Group the images of scans by their use."""
    travelling_scans = [scans for pair in pairs for scans in pair.travelling_scans]
    return {
        "travelling source": {source.image for source, _ in travelling_scans},
        "travelling target": {target.image for _, target in travelling_scans},
        "to harmonize": {scan.image for scan in selection.scans},
    }


def _training_exclusion_reason(scan: Scan, pairs: Sequence[Pair]) -> str:
    """Return why no model is trained on a usable scan."""
    label = scan.scanner_label
    scanner_pairs = [pair for pair in pairs if label in (pair.source.label, pair.target.label)]
    if not scanner_pairs:
        return "its scanner is in no pair"
    travelling_scans = (scans for pair in scanner_pairs for scans in pair.travelling_scans)
    if scan.subject in {source.subject for source, _ in travelling_scans}:
        return "another scan stands for this subject"
    return "the subject was not scanned on the other scanner of the pair"


def _shell_summary(scan: Scan) -> str:
    """Count the directions by shell, e.g. "50 x 1000 + 50 x 2000"."""
    shells = find_scan_shells(scan)
    return " + ".join(f"{shell.volumes.size} x {round(shell.bvalue)}" for shell in shells)
