"""What makes a scanner's identity doubtful: shown beside it and warned of, never settled silently."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from bids_shresnet.errors import Finding
from bids_shresnet.inputs.claims import Claim
from bids_shresnet.inputs.scanners import identity_of
from bids_shresnet.inputs.sidecars import as_text, said
from bids_shresnet.scans import Scan

CHANGES = ("InstitutionName", "SoftwareVersions", "EchoTime")  # what should stay the same on one scanner
LISTED = 5  # values named in a warning

Conflicts = dict[str, tuple[Finding, ...]]  # by scanner label


def conflicts(scans: Iterable[Scan], claims: Iterable[Claim], split_by: Sequence[str]) -> Conflicts:
    """All doubts about each scanner, from the sidecars of its scans and what tables and README claim."""
    by_label: dict[str, list[Scan]] = defaultdict(list)
    for scan in scans:
        by_label[scan.scanner_label].append(scan)
    found: dict[str, list[Finding]] = defaultdict(list)
    for label, own in by_label.items():
        found[label] += _changes(label, own, split_by)
    for labels, finding in (*_shared_serials(by_label), *_shared_machines(by_label), *_claimed(by_label, claims)):
        for label in labels:
            found[label].append(finding)
    return {label: tuple(findings) for label, findings in found.items() if findings}


def _changes(label: str, scans: Sequence[Scan], split_by: Sequence[str]) -> list[Finding]:
    """Fields that are not the same in all scans of a scanner; an error where --split-by could not tell two apart."""
    findings = []
    for key in dict.fromkeys((*CHANGES, *split_by)):
        values = said((scan.metadata for scan in scans), key)
        if len(values) < 2:
            continue
        listed = "; ".join(f"{value} ({count})" for value, count in list(values.items())[:LISTED])
        more = f" and {len(values) - LISTED} more" if len(values) > LISTED else ""
        value = f"{key} differs among its scans: {listed}{more}"
        if key in split_by:
            remedy = "These values become one label; name the scanners with --scanner-map."
            findings.append(Finding("error", f"scanner {label}", value, remedy))
        else:
            remedy = f"It is taken as one scanner; --split-by {key} makes several of it."
            findings.append(Finding("warning", f"scanner {label}", value, remedy))
    return findings


def _shared_serials(by_label: Mapping[str, Sequence[Scan]]) -> Iterable[tuple[list[str], Finding]]:
    """Serial numbers that stand for several models."""
    for serial, labels in _labels_by(by_label, lambda scan: identity_of(scan.metadata)[1]).items():
        identities = {identity_of(scan.metadata) for label in labels for scan in by_label[label]}
        models = {model for model, own in identities if own == serial}
        if serial and len(models) > 1:
            value = f"one serial number, {serial}, for {len(models)} models: {', '.join(sorted(models))}"
            remedy = "They are taken as different machines; if they are one, say so with --scanner-map."
            yield labels, Finding("warning", f"scanners {', '.join(labels)}", value, remedy)


def _shared_machines(by_label: Mapping[str, Sequence[Scan]]) -> Iterable[tuple[list[str], Finding]]:
    """Machines that the user's map, table or pattern makes several scanners of."""
    named = {
        label: scans
        for label, scans in by_label.items()
        if any(scan.scanner and scan.scanner.evidence != "sidecar" for scan in scans)
    }
    for machine, labels in _labels_by(named, lambda scan: " ".join(identity_of(scan.metadata))).items():
        if machine.strip() and identity_of(named[labels[0]][0].metadata)[1] and len(labels) > 1:
            value = f"one machine by its sidecars: {machine}"
            remedy = "They are taken as different scanners, as they were named; check the names."
            yield labels, Finding("warning", f"scanners {', '.join(labels)}", value, remedy)


def _claimed(by_label: Mapping[str, Sequence[Scan]], claims: Iterable[Claim]) -> Iterable[tuple[list[str], Finding]]:
    """Claims that no sidecar they are about agrees with; a traveller's table may name one of its scanners."""
    subjects: dict[str, list[Scan]] = defaultdict(list)
    for scan in (scan for scans in by_label.values() for scan in scans):
        subjects[f"sub-{scan.subject}"].append(scan)
    for claim in claims:
        near = subjects.get(claim.entities.split("_")[0], []) if claim.entities.startswith("sub-") else None
        scans = near if near is not None else [scan for some in subjects.values() for scan in some]
        about = [scan for scan in scans if claim.is_about(scan.image.name)]
        if about and not any(claim.agrees(scan.metadata) for scan in about):
            sidecars = sorted({as_text(scan.metadata.get(claim.field)) for scan in about})
            value = f"{claim.source} says {claim.field} {claim.value}, the sidecars say {', '.join(sidecars)}"
            remedy = "The sidecars are believed; correct what is wrong, or name the scanner with --scanner-map."
            labels = sorted({scan.scanner_label for scan in about})
            yield labels, Finding("warning", claim.entities, value, remedy)


def _labels_by(by_label: Mapping[str, Sequence[Scan]], key: Callable[[Scan], str]) -> dict[str, list[str]]:
    """Labels of the scanners whose scans have a key."""
    labels: dict[str, dict[str, None]] = defaultdict(dict)
    for label, scans in by_label.items():
        for scan in scans:
            labels[key(scan)][label] = None
    return {value: sorted(found) for value, found in labels.items() if value}
