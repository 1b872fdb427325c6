"""The scanner of a scan: from the user's map, a table, the sidecar or the file name.

A sidecar identifies a scanner by model and serial number. In real data, one serial number stands
for two models of a vendor. Other fields (institution, station name, software version) do not
identify a scanner, nor does the model alone. Without an answer, the result is a finding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bids_shresnet.errors import Finding, InputMissing, UsageError
from bids_shresnet.inputs.acquisition_times import AcquisitionTimes, read_acquisition_times
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.inputs.scanner_labels import (
    model_and_serial,
    normalize_serial,
    sanitize_label,
    sidecar_model,
)
from bids_shresnet.inputs.scanner_statements import ScannerStatement, find_scanner_statements
from bids_shresnet.inputs.sidecars import format_sidecar_value
from bids_shresnet.inputs.tables import group_cells, read_column, read_dataset_rows
from bids_shresnet.scans import Scanner

SCANNER_MAP_FORMAT = (
    "It is a table with tab-separated columns named scan and scanner; "
    "a line may read `ses-ge`, tab, `GE1`."
)


@dataclass(frozen=True)
class ScannerNaming:
    """Names of scanners given by the user and by the tables of a dataset.

    Attributes
    ----------
    map_scanners, table_scanners
        Scanners from --scanner-map and from the dataset's tables, by file name or by `sub-..`,
        `ses-..` or `sub-.._ses-..`.
    pattern
        --scanner-from.
    findings
        Errors in the map or the tables.
    statements
        What other columns of the tables say of scanners. They name no scanner, but are compared
        with the sidecars.
    split_by
        Sidecar keys. Scans of one scanner with different values belong to different scanners.
    acquisition_times
        Times of scans and sessions, which the same tables hold.
    suggested_pattern
        A --scanner-from that fits the file names; empty if none does.
    """

    map_scanners: Mapping[str, set[str]] = field(default_factory=dict)
    table_scanners: Mapping[str, set[str]] = field(default_factory=dict)
    pattern: re.Pattern[str] | None = None
    findings: tuple[Finding, ...] = ()
    statements: tuple[ScannerStatement, ...] = ()
    split_by: tuple[str, ...] = ()
    acquisition_times: AcquisitionTimes = field(default_factory=dict)
    suggested_pattern: str = ""


def read_scanner_naming(
    root: Path, scanner_map: Path | None, column: str, pattern: str | None
) -> ScannerNaming:
    """Read the map and the dataset's tables, and compile the regular expression.

    Raises
    ------
    InputMissing
        If the map does not exist.
    UsageError
        If the regular expression is invalid or has no group `scanner`.
    """
    rows, findings = read_dataset_rows(root)
    table_scanners = group_cells(rows, column)
    findings += _check_label_clashes(root, table_scanners.values())
    map_scanners = {}
    if scanner_map:
        map_scanners = _read_scanner_map(scanner_map)
        findings += _check_label_clashes(scanner_map, map_scanners.values())
        if not map_scanners:
            problem = "no line names a scanner"
            findings.append(Finding.error(scanner_map, problem, SCANNER_MAP_FORMAT))
    return ScannerNaming(
        map_scanners=map_scanners,
        table_scanners=table_scanners,
        pattern=_compile_pattern(pattern) if pattern else None,
        findings=tuple(findings),
        statements=tuple(find_scanner_statements(rows)),
        acquisition_times=read_acquisition_times(rows),
    )


def identify_scanner(file: DwiFile, naming: ScannerNaming) -> Scanner | Finding:
    """Identify the scanner of a scan: by map, table, sidecar or file name, in this order."""
    scanner = _identify_machine(file, naming)
    if isinstance(scanner, Finding):
        return scanner
    values = {key: format_sidecar_value(file.metadata.get(key)) for key in naming.split_by}
    missing = [key for key, value in values.items() if not sanitize_label(value)]
    if missing:
        keys = " and ".join(missing)
        problem = f"its sidecars lack {keys}, by which --split-by tells scanners apart"
        remedy = "Add it, or name the scanner with --scanner-map instead."
        return Finding.error(file.image, problem, remedy)
    return replace(scanner, label=scanner.label + sanitize_label("".join(values.values())))


def _identify_machine(file: DwiFile, naming: ScannerNaming) -> Scanner | Finding:
    """Identify the scanner without regard to --split-by."""
    sources = {"map": naming.map_scanners, "table": naming.table_scanners}
    for source, scanners_by_name in sources.items():
        names = _matching_scanners(file, scanners_by_name)
        names = {name for name in names if sanitize_label(name)}
        if len(names) > 1:
            problem = f"the {source} names several scanners for it ({', '.join(sorted(names))})"
            remedy = "Name one, on a line with its file name."
            return Finding.error(file.image, problem, remedy)
        if names:
            return Scanner(sanitize_label(names.pop()), named_by=source)
    return (
        _scanner_from_sidecar(file.metadata)
        or _scanner_from_file_name(file, naming.pattern)
        or _unknown_scanner_finding(file, naming.suggested_pattern)
    )


def _scanner_from_sidecar(metadata: Mapping[str, Any]) -> Scanner | None:
    """Name a scanner by model and serial number; None if one of them is missing."""
    model, serial = model_and_serial(metadata)
    if not sanitize_label(model) or not serial:
        return None
    return Scanner(
        label=sanitize_label(model + serial),
        manufacturer=str(metadata.get("Manufacturer") or "").strip(),
        model=sidecar_model(metadata),
        serial=serial,
        named_by="sidecar",
    )


def _scanner_from_file_name(file: DwiFile, pattern: re.Pattern[str] | None) -> Scanner | None:
    """Name a scanner by the match of --scanner-from in the file name."""
    match = pattern.search(file.image.name) if pattern else None
    label = sanitize_label(match.group("scanner") or "") if match else ""
    return Scanner(label, named_by="regex") if label else None


def _unknown_scanner_finding(file: DwiFile, suggested_pattern: str) -> Finding:
    """Name the missing fields and the flags by which the user can name the scanner."""
    remedy = (
        "Name the scanner with --scanner-map scanners.tsv (columns scan and scanner), or with "
        "--scanner-column (a column of scans.tsv, sessions.tsv or participants.tsv)"
    )
    if suggested_pattern:
        remedy += f"; if a part of the session does, with --scanner-from '{suggested_pattern}'"
    else:
        remedy += ", or with --scanner-from, if a part of the file names does"
    reasons = ", ".join(_missing_identity(file))
    return Finding.error(file.image, f"unknown scanner: {reasons}", f"{remedy}.")


def _missing_identity(file: DwiFile) -> list[str]:
    """Say what a sidecar lacks to identify a scanner."""
    metadata = file.metadata
    if not metadata:
        return ["its sidecar cannot be read" if file.findings else "it has no sidecar"]
    reasons = []
    missing = [] if sidecar_model(metadata) else ["ManufacturersModelName"]
    serial = metadata.get("DeviceSerialNumber")
    if serial in (None, ""):
        missing.append("DeviceSerialNumber")
    elif not normalize_serial(serial):
        reasons.append(f"its DeviceSerialNumber seems anonymized ({serial}), without digits but 0")
    if missing:
        reasons.append(f"its sidecars lack {' and '.join(missing)}")
    return reasons


def _matching_scanners(file: DwiFile, scanners_by_name: Mapping[str, set[str]]) -> set[str]:
    """Return scanners of the closest entries for a scan, or for a raw image it was made from."""
    matches: dict[int, set[str]] = {0: set()}
    for image in (file.image, *file.raw_images):
        image_parts = _name_parts(image.name)
        for name, scanners in scanners_by_name.items():
            parts = _name_parts(name)
            if _is_entry_for(parts, image_parts):
                matches.setdefault(len(parts), set()).update(scanners)
    return set(matches[max(matches)])


def find_unmatched_entries(naming: ScannerNaming, files: Iterable[DwiFile]) -> list[str]:
    """Return the entries of --scanner-map that are for no DWI."""
    images = [image for file in files for image in (file.image, *file.raw_images)]
    image_parts = [_name_parts(image.name) for image in images]
    unmatched = []
    for name in naming.map_scanners:
        parts = _name_parts(name)
        if not any(_is_entry_for(parts, candidate) for candidate in image_parts):
            unmatched.append(name)
    return unmatched


def _is_entry_for(parts: list[str], image_parts: list[str]) -> bool:
    """Return whether an entry is for an image.

    A file name is for that file only, "sub-01_ses-ge" for all files of the session.
    """
    has_suffix = "-" not in parts[-1]
    return parts == image_parts or (not has_suffix and set(parts) <= set(image_parts))


def _name_parts(name: str) -> list[str]:
    """Return the parts of a file name, without folders and extension."""
    return Path(name).name.split(".")[0].split("_")


def _read_scanner_map(path: Path) -> dict[str, set[str]]:
    """Read --scanner-map; empty if it lacks the columns."""
    if not path.is_file():
        msg = f"--scanner-map {path} does not exist"
        raise InputMissing(msg)
    return read_column(path, "scan", "scanner")


def _compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a regular expression that has a group `scanner`."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        msg = f"--scanner-from {pattern!r} is no regular expression: {error}"
        raise UsageError(msg) from error
    if "scanner" not in compiled.groupindex:
        problem = f"--scanner-from {pattern!r} has no group named scanner"
        msg = f"{problem}; write (?P<scanner>...) around the part that names it"
        raise UsageError(msg)
    return compiled


def _check_label_clashes(file: Path, names: Iterable[set[str]]) -> list[Finding]:
    """Find names that become the same label, and names without letters and digits."""
    spellings: dict[str, set[str]] = {}
    for name in set[str]().union(*names):
        spellings.setdefault(sanitize_label(name), set()).add(name)
    findings = []
    for label, clashing in sorted(spellings.items()):
        if len(clashing) > 1 or not label:
            problem = f"scanners {', '.join(sorted(clashing))} become the label {label!r}"
            findings.append(Finding.error(file, problem, "Use letters and digits."))
    return findings
