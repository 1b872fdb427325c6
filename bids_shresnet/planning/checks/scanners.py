"""Conflicting metadata of a scanner: listed and warned about, never resolved silently."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from bids_shresnet.errors import Finding, join_some
from bids_shresnet.inputs.scanner_labels import model_and_serial
from bids_shresnet.inputs.scanner_statements import VENDOR, ScannerStatement
from bids_shresnet.inputs.sidecars import count_values, format_sidecar_value
from bids_shresnet.scans import Scan

# Fields that should have one value per scanner
INSTITUTION = "InstitutionName"
ECHO_TIME = "EchoTime"
CONSTANT_KEYS = (INSTITUTION, "SoftwareVersions", ECHO_TIME)
ECHO_TIME_TOLERANCE = 0.05  # relative; as of scans and their model
# Entities that differ among scans of one protocol
REPETITION_ENTITIES = ("subject", "session", "run", "direction")
MAX_LISTED_VALUES = 5  # values, or rows of tables, named in a warning

Conflicts = Mapping[str, tuple[Finding, ...]]  # by scanner label
ScansByLabel = Mapping[str, Sequence[Scan]]  # by scanner label


def find_conflicts(
    scans: Iterable[Scan], split_by: Sequence[str], statements: Iterable[ScannerStatement]
) -> Conflicts:
    """Find conflicts in the metadata of each scanner, also with tables, by its label."""
    by_label: dict[str, list[Scan]] = defaultdict(list)
    for scan in scans:
        by_label[scan.scanner_label].append(scan)
    conflicts: dict[str, list[Finding]] = defaultdict(list)
    for label, scanner_scans in by_label.items():
        conflicts[label] += _check_serial_numbers(label, scanner_scans)
        conflicts[label] += _check_constant_keys(label, scanner_scans, split_by)
    shared_findings = [
        *_find_shared_serials(by_label),
        *_find_shared_machines(by_label),
        *_find_contradicting_tables(by_label, statements),
    ]
    for labels, finding in shared_findings:
        for label in labels:
            conflicts[label].append(finding)
    return {label: tuple(findings) for label, findings in conflicts.items() if findings}


def _check_serial_numbers(label: str, scans: Sequence[Scan]) -> list[Finding]:
    """Find several serial numbers under one label, as of a table with one scanner per subject."""
    serials = {_serial(scan) for scan in scans} - {""}
    if len(serials) < 2:
        return []
    value = f"its scans have the serial numbers {', '.join(sorted(serials))}"
    remedy = "Check the scanner map or column: these may be several machines."
    return [Finding.warning(f"scanner {label}", value, remedy)]


def _check_constant_keys(
    label: str, scans: Sequence[Scan], split_by: Sequence[str]
) -> list[Finding]:
    """Find fields that differ among the scans of a scanner and, for most, of one protocol.

    It is an error if --split-by asks to tell them apart and their values become one label.
    """
    findings = []
    for key in dict.fromkeys((*CONSTANT_KEYS, *split_by)):
        counts = count_values((scan.metadata for scan in scans), key)
        is_constant = key not in split_by and not _differs_within_protocol(scans, key)
        if len(counts) < 2 or is_constant:
            continue
        values = [f"{value} ({count})" for value, count in counts.items()]
        listed = join_some(values, MAX_LISTED_VALUES, separator="; ")
        value = f"{key} differs among its scans: {listed}"
        if key in split_by:
            remedy = "These values become one label; name the scanners with --scanner-map."
            findings.append(Finding.error(f"scanner {label}", value, remedy))
        else:
            remedy = "It is taken as one scanner."
            if key != INSTITUTION:  # one machine often has several spellings of it
                remedy += f" If it was changed, --split-by {key} makes several of it."
            findings.append(Finding.warning(f"scanner {label}", value, remedy))
    return findings


def _differs_within_protocol(scans: Iterable[Scan], key: str) -> bool:
    """Return whether a field differs among scans of the same protocol.

    Echo times of one protocol are set by its b-values and gradients, to a fraction of a
    millisecond.
    """
    protocols: dict[tuple[object, ...], list[Mapping[str, Any]]] = defaultdict(list)
    for scan in scans:
        entities = {k: v for k, v in scan.entities.items() if k not in REPETITION_ENTITIES}
        protocols[scan.direction_count, *sorted(entities.items())].append(scan.metadata)
    has_changed = _has_other_echo_time if key == ECHO_TIME else _has_other_value
    return any(has_changed(sidecars, key) for sidecars in protocols.values())


def _has_other_value(sidecars: Sequence[Mapping[str, Any]], key: str) -> bool:
    return len(count_values(sidecars, key)) > 1


def _has_other_echo_time(sidecars: Sequence[Mapping[str, Any]], key: str) -> bool:
    values = (sidecar.get(key) for sidecar in sidecars)
    times = [float(value) for value in values if isinstance(value, int | float)]
    return bool(times) and max(times) - min(times) > ECHO_TIME_TOLERANCE * max(times)


def _find_shared_serials(by_label: ScansByLabel) -> list[tuple[list[str], Finding]]:
    """Find serial numbers of several models, with the labels concerned."""
    findings = []
    for serial, labels in _group_labels(by_label, _serial).items():
        scans = (scan for label in labels for scan in by_label[label])
        identities = {model_and_serial(scan.metadata) for scan in scans}
        models = sorted(model for model, other in identities if other == serial)
        if len(models) > 1:
            names = f"for {len(models)} models: {', '.join(models)}"
            value = f"one serial number, {serial}, {names}"
            machines = "They are taken as different machines"
            remedy = f"{machines}; if they are one, say so with --scanner-map."
            findings.append((labels, Finding.warning(_format_labels(labels), value, remedy)))
    return findings


def _find_shared_machines(by_label: ScansByLabel) -> list[tuple[list[str], Finding]]:
    """Find machines that the user's map, table or pattern gives several labels."""
    named_by_user = {
        label: scans for label, scans in by_label.items() if not _is_named_by_sidecars(scans)
    }
    findings = []
    for machine, labels in _group_labels(named_by_user, _machine).items():
        if len(labels) > 1:
            value = f"one machine by its sidecars: {machine}"
            remedy = "They are taken as different scanners, as they were named; check the names."
            findings.append((labels, Finding.warning(_format_labels(labels), value, remedy)))
    return findings


def _find_contradicting_tables(
    by_label: ScansByLabel, statements: Iterable[ScannerStatement]
) -> list[tuple[list[str], Finding]]:
    """Find what tables say against the sidecars, with the labels concerned.

    The row of a subject may describe any one of its scanners. Rows with the same contradiction are
    one finding.
    """
    by_subject: dict[str, list[Scan]] = defaultdict(list)
    for scan in chain.from_iterable(by_label.values()):
        by_subject[f"sub-{scan.subject}"].append(scan)
    rows: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for statement in statements:
        subject_scans = by_subject[statement.row.split("_")[0]]
        scans = [scan for scan in subject_scans if statement.is_about(scan.image.name)]
        if scans and all(statement.contradicts(scan.metadata) for scan in scans):
            labels = tuple(sorted({scan.scanner_label for scan in scans}))
            rows[_describe_contradiction(statement, scans), labels].append(statement.row)
    remedy = "The sidecars are used; correct what is wrong, or name the scanner with --scanner-map."
    findings = []
    for (value, labels), names in rows.items():
        listed = join_some(names, MAX_LISTED_VALUES)
        findings.append((list(labels), Finding.warning(listed, value, remedy)))
    return findings


def _describe_contradiction(statement: ScannerStatement, scans: Iterable[Scan]) -> str:
    machines = ", ".join(sorted({_describe_machine(scan) for scan in scans}))
    return f"a table says {statement.key} {statement.value}, the sidecars say {machines}"


def _describe_machine(scan: Scan) -> str:
    """Name what the sidecar says of the scanner: vendor, model and serial number."""
    vendor = format_sidecar_value(scan.metadata.get(VENDOR))
    return " ".join(part for part in (vendor, *model_and_serial(scan.metadata)) if part)


def _is_named_by_sidecars(scans: Iterable[Scan]) -> bool:
    """Return whether no scan of a scanner got its label from the user."""
    return all(scan.scanner is None or scan.scanner.named_by == "sidecar" for scan in scans)


def _serial(scan: Scan) -> str:
    """Return the serial number in the sidecar; empty if it is missing."""
    return model_and_serial(scan.metadata)[1]


def _machine(scan: Scan) -> str:
    """Return model and serial number in the sidecar; empty without a serial number."""
    model, serial = model_and_serial(scan.metadata)
    return f"{model} {serial}" if serial else ""


def _format_labels(labels: Sequence[str]) -> str:
    return f"scanners {', '.join(labels)}"


def _group_labels(by_label: ScansByLabel, key: Callable[[Scan], str]) -> dict[str, list[str]]:
    """Group the labels of scanners by a key of their scans that is not empty."""
    groups: dict[str, set[str]] = defaultdict(set)
    for label, scans in by_label.items():
        for scan in scans:
            groups[key(scan)].add(label)
    return {value: sorted(labels) for value, labels in groups.items() if value}
