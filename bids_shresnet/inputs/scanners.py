"""Which physical machine took a scan: by the user's map, a table, the sidecar, or the file name; never a guess.

A machine is known by its model and its serial number. In real data one serial number stands for two models of a vendor,
and the model alone, institution, station name, software version and README tell machines apart wrongly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bids_shresnet.errors import Finding, InputMissing, UsageError
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.inputs.sidecars import format_sidecar_value
from bids_shresnet.inputs.tables import read_column, read_scanner_column
from bids_shresnet.scans import Scanner

MODEL_KEYS = (
    "ManufacturersModelName",
    "ManufacturerModelName",
)  # BIDS's key, and a misspelling found in real sidecars
# Product lines that sidecars of one machine have or lack; SIGNA stays, since GE writes it every time.
PRODUCT_LINES = ("MAGNETOM", "DISCOVERY")
SCANNER_MAP_FORMAT = "It is a table with tab-separated columns named scan and scanner; a line may read `ses-ge`, tab, `GE1`."


@dataclass(frozen=True)
class ScannerNaming:
    """What the user says about scanners.

    Attributes
    ----------
    map_scanners, table_scanners
        Scanner by a file name or by `sub-..`, `ses-..` or `sub-.._ses-..`; from --scanner-map and the dataset's tables.
    pattern
        --scanner-from.
    findings
        What is wrong with the map or the tables.
    split_by
        Sidecar keys whose values make several scanners of one.
    """

    map_scanners: Mapping[str, set[str]] = field(default_factory=dict)
    table_scanners: Mapping[str, set[str]] = field(default_factory=dict)
    pattern: re.Pattern[str] | None = None
    findings: tuple[Finding, ...] = ()
    split_by: tuple[str, ...] = ()


def read_scanner_naming(
    root: Path, scanner_map: Path | None, column: str, pattern: str | None
) -> ScannerNaming:
    """Read the map and the dataset's tables, and compile the regular expression.

    Raises
    ------
    InputMissing
        If the map does not exist.
    UsageError
        If the regular expression is none or has no group `scanner`.
    """
    if scanner_map and not scanner_map.is_file():
        msg = f"--scanner-map {scanner_map} does not exist"
        raise InputMissing(msg)
    lines = read_column(scanner_map, "scan", "scanner") if scanner_map else {}
    findings = (
        []
        if lines or not scanner_map
        else [Finding("error", str(scanner_map), "no line names a scanner", SCANNER_MAP_FORMAT)]
    )
    cells = read_scanner_column(root, column)
    for file, names in ((scanner_map, lines), (root, cells)):
        findings.extend(_find_label_clashes(str(file), set().union(*names.values())))
    return ScannerNaming(
        lines, cells, _compile_pattern(pattern) if pattern else None, tuple(findings)
    )


def identify_scanner(file: DwiFile, naming: ScannerNaming) -> Scanner | Finding:
    """Name the scanner of a scan, by the first that answers: map, table, sidecar, file name; or say what is missing."""
    scanner = _identify_machine(file, naming)
    if isinstance(scanner, Finding):
        return scanner
    values = [format_sidecar_value(file.metadata.get(key)) for key in naming.split_by]
    missing = [
        key for key, value in zip(naming.split_by, values, strict=True) if not sanitize_label(value)
    ]
    if missing:
        value = (
            f"its sidecars lack {' and '.join(missing)}, by which --split-by tells scanners apart"
        )
        return Finding(
            "error",
            str(file.image),
            value,
            "Add it, or name the scanner with --scanner-map instead.",
        )
    return replace(scanner, label=scanner.label + sanitize_label("".join(values)))


def _identify_machine(file: DwiFile, naming: ScannerNaming) -> Scanner | Finding:
    """Name the machine, however it was set up."""
    for origin, names in (("map", naming.map_scanners), ("table", naming.table_scanners)):
        answers = {answer for answer in _matching_scanners(file, names) if sanitize_label(answer)}
        if len(answers) > 1:
            value = f"the {origin} names several scanners for it ({', '.join(sorted(answers))})"
            return Finding(
                "error", str(file.image), value, "Name one, on a line with its file name."
            )
        if answers:
            return Scanner(sanitize_label(answers.pop()), named_by=origin)
    return (
        _scanner_from_sidecar(file.metadata)
        or _scanner_from_file_name(file, naming.pattern)
        or _unknown_scanner_finding(file)
    )


def sanitize_label(name: str) -> str:
    """Letters and digits of a name: what a label may hold."""
    return re.sub(r"[^0-9A-Za-z]", "", name)


def normalize_model(model: str) -> str:
    """Spell a model one way: "MAGNETOM Prisma Fit" = "Prisma_fit" = "Prisma Fit"; "DISCOVERY_MR750" = "MR750".

    Words keep their letters (dStream, SIGNA), but those in small letters get a capital. "Prisma" and "Prisma Fit" stay
    two models: the latter is a rebuilt Trio.
    """
    words = [
        word
        for word in re.split(r"[\s_]+", model.strip())
        if word and word.upper() not in PRODUCT_LINES
    ]
    return " ".join(word.capitalize() if word.islower() else word for word in words)


def normalize_serial(serial: object) -> str:
    """Write a serial number as text: 35343, 35343.0 and "35343.0 " are "35343"; empty where it was removed.

    Anonymized ones (Anonymized, 000000000000GEHC, 0000000000orange) have no digit but 0, and name no machine.
    """
    text = (
        ""
        if isinstance(serial, bool) or not isinstance(serial, str | int | float)
        else str(serial).strip()
    )
    text = re.sub(r"^(\d+)\.0*$", r"\1", text)
    return text if re.search(r"[1-9]", text) else ""


def sidecar_model(metadata: Mapping[str, Any]) -> str:
    """The model as the sidecar spells it."""
    return next((str(metadata[key]).strip() for key in MODEL_KEYS if metadata.get(key)), "")


def model_and_serial(metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Model and serial number in one spelling; empty where the sidecar lacks them."""
    return normalize_model(sidecar_model(metadata)), normalize_serial(
        metadata.get("DeviceSerialNumber")
    )


def _scanner_from_sidecar(metadata: Mapping[str, Any]) -> Scanner | None:
    """Name the machine by model and serial number; None if one of them is missing."""
    model, serial = model_and_serial(metadata)
    if not sanitize_label(model) or not serial:
        return None
    manufacturer = str(metadata.get("Manufacturer") or "").strip()
    return Scanner(
        sanitize_label(model + serial),
        manufacturer,
        sidecar_model(metadata),
        serial,
        named_by="sidecar",
    )


def _scanner_from_file_name(file: DwiFile, pattern: re.Pattern[str] | None) -> Scanner | None:
    """Name the machine by what --scanner-from finds in the file name."""
    match = pattern.search(file.image.name) if pattern else None
    label = sanitize_label(match.group("scanner") or "") if match else ""
    return Scanner(label, named_by="regex") if label else None


def _unknown_scanner_finding(file: DwiFile) -> Finding:
    """Say which fields are missing and how the user can name the scanner."""
    serial = file.metadata.get("DeviceSerialNumber")
    removed = (
        []
        if serial in (None, "") or normalize_serial(serial)
        else [f"its DeviceSerialNumber is anonymized ({serial})"]
    )
    missing = [] if sidecar_model(file.metadata) else ["ManufacturersModelName"]
    missing += [] if removed or normalize_serial(serial) else ["DeviceSerialNumber"]
    lacking = [f"its sidecars lack {' and '.join(missing)}"] if missing and file.metadata else []
    reasons = removed + (lacking if file.metadata else ["it has no sidecar"])
    example = (
        "ses" if "session" in file.entities else "acq" if "acquisition" in file.entities else "sub"
    )
    remedy = (
        "Name the scanner with --scanner-map scanners.tsv (columns scan and scanner), with --scanner-column (a column "
        "of scans.tsv, sessions.tsv or participants.tsv) or with --scanner-from "
        f"'{example}-(?P<scanner>[0-9A-Za-z]+)'."
    )
    return Finding("error", str(file.image), f"unknown scanner: {', '.join(reasons)}", remedy)


def _matching_scanners(file: DwiFile, scanners_by_name: Mapping[str, set[str]]) -> set[str]:
    """Scanners of the most specific entries for a scan, or for a raw image it was made from."""
    matches: dict[int, set[str]] = {0: set()}
    for image in (file.image, *file.raw_images):
        parts = _stem(image.name).split("_")
        for key, scanners in scanners_by_name.items():
            wanted = _stem(key).split("_")
            # a whole file name is for that file only; "sub-01_ses-ge" is for all files of the session
            if parts == wanted or ("-" in wanted[-1] and set(wanted) <= set(parts)):
                matches.setdefault(len(wanted), set()).update(scanners)
    return set(matches[max(matches)])


def _stem(name: str) -> str:
    """File name without folders and extension."""
    return Path(name).name.split(".")[0]


def _compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a regular expression that has a group `scanner`."""
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        msg = f"--scanner-from {pattern!r} is no regular expression: {error}"
        raise UsageError(msg) from error
    if "scanner" not in compiled.groupindex:
        msg = f"--scanner-from {pattern!r} has no group named scanner; write (?P<scanner>...) around the naming part"
        raise UsageError(msg)
    return compiled


def _find_label_clashes(file: str, names: Iterable[str]) -> list[Finding]:
    """Two names must not silently become one label."""
    spellings: dict[str, set[str]] = {}
    for name in names:
        spellings.setdefault(sanitize_label(name), set()).add(name)
    return [
        Finding(
            "error",
            file,
            f"scanners {', '.join(sorted(same))} become the label {label!r}",
            "Use letters and digits.",
        )
        for label, same in sorted(spellings.items())
        if len(same) > 1 or not label
    ]
