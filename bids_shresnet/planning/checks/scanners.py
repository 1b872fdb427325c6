"""Conflicting metadata of a scanner: listed and warned about, never resolved silently."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

from bids_shresnet.errors import Finding
from bids_shresnet.inputs.scanner_labels import model_and_serial
from bids_shresnet.inputs.sidecars import count_values
from bids_shresnet.scans import Scan

CONSTANT_KEYS = (
    "InstitutionName",
    "SoftwareVersions",
    "EchoTime",
)  # what should stay the same on one scanner
MAX_LISTED_VALUES = 5  # values named in a warning

Conflicts = dict[str, tuple[Finding, ...]]  # by scanner label


def find_conflicts(scans: Iterable[Scan], split_by: Sequence[str]) -> Conflicts:
    """Find what contradicts itself in the sidecars of each scanner."""
    by_label: dict[str, list[Scan]] = defaultdict(list)
    for scan in scans:
        by_label[scan.scanner_label].append(scan)
    found: dict[str, list[Finding]] = defaultdict(list)
    for label, own in by_label.items():
        found[label] += _check_constant_keys(label, own, split_by)
    for labels, finding in (
        *_find_shared_serials(by_label),
        *_find_shared_machines(by_label),
    ):
        for label in labels:
            found[label].append(finding)
    return {label: tuple(findings) for label, findings in found.items() if findings}


def _check_constant_keys(
    label: str, scans: Sequence[Scan], split_by: Sequence[str]
) -> list[Finding]:
    """Fields that are not the same in all scans of a scanner; an error where --split-by could not tell two apart."""
    findings = []
    for key in dict.fromkeys((*CONSTANT_KEYS, *split_by)):
        values = count_values((scan.metadata for scan in scans), key)
        if len(values) < 2:
            continue
        listed = "; ".join(
            f"{value} ({count})" for value, count in list(values.items())[:MAX_LISTED_VALUES]
        )
        more = (
            f" and {len(values) - MAX_LISTED_VALUES} more"
            if len(values) > MAX_LISTED_VALUES
            else ""
        )
        value = f"{key} differs among its scans: {listed}{more}"
        if key in split_by:
            remedy = "These values become one label; name the scanners with --scanner-map."
            findings.append(Finding("error", f"scanner {label}", value, remedy))
        else:
            remedy = f"It is taken as one scanner; --split-by {key} makes several of it."
            findings.append(Finding("warning", f"scanner {label}", value, remedy))
    return findings


def _find_shared_serials(
    by_label: Mapping[str, Sequence[Scan]],
) -> Iterable[tuple[list[str], Finding]]:
    """Serial numbers that stand for several models."""
    for serial, labels in _group_labels(
        by_label, lambda scan: model_and_serial(scan.metadata)[1]
    ).items():
        identities = {
            model_and_serial(scan.metadata) for label in labels for scan in by_label[label]
        }
        models = {model for model, own in identities if own == serial}
        if serial and len(models) > 1:
            value = f"one serial number, {serial}, for {len(models)} models: {', '.join(sorted(models))}"
            remedy = (
                "They are taken as different machines; if they are one, say so with --scanner-map."
            )
            yield labels, Finding("warning", f"scanners {', '.join(labels)}", value, remedy)


def _find_shared_machines(
    by_label: Mapping[str, Sequence[Scan]],
) -> Iterable[tuple[list[str], Finding]]:
    """Machines that the user's map, table or pattern makes several scanners of."""
    named = {
        label: scans
        for label, scans in by_label.items()
        if any(scan.scanner and scan.scanner.named_by != "sidecar" for scan in scans)
    }
    for machine, labels in _group_labels(
        named, lambda scan: " ".join(model_and_serial(scan.metadata))
    ).items():
        if (
            machine.strip()
            and model_and_serial(named[labels[0]][0].metadata)[1]
            and len(labels) > 1
        ):
            value = f"one machine by its sidecars: {machine}"
            remedy = "They are taken as different scanners, as they were named; check the names."
            yield labels, Finding("warning", f"scanners {', '.join(labels)}", value, remedy)


def _group_labels(
    by_label: Mapping[str, Sequence[Scan]], key: Callable[[Scan], str]
) -> dict[str, list[str]]:
    """Labels of the scanners whose scans have a key."""
    labels: dict[str, dict[str, None]] = defaultdict(dict)
    for label, scans in by_label.items():
        for scan in scans:
            labels[key(scan)][label] = None
    return {value: sorted(found) for value, found in labels.items() if value}
