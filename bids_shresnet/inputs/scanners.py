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
from bids_shresnet.inputs.sidecars import as_text
from bids_shresnet.inputs.tables import read_column, read_scanner_column
from bids_shresnet.scans import Scanner

MODEL_KEYS = ("ManufacturersModelName", "ManufacturerModelName")  # BIDS's key, and a misspelling found in real sidecars
# Product lines that sidecars of one machine have or lack; SIGNA stays, since GE writes it every time.
VENDOR_WORDS = ("MAGNETOM", "DISCOVERY")
MAP_FORMAT = "It is a table with tab-separated columns named scan and scanner; a line may read `ses-ge`, tab, `GE1`."


@dataclass(frozen=True)
class Naming:
    """What the user says about scanners.

    Attributes
    ----------
    scanner_map, column
        Scanner by a file name or by `sub-..`, `ses-..` or `sub-.._ses-..`; from --scanner-map and the dataset's tables.
    pattern
        --scanner-from.
    findings
        What is wrong with the map or the tables.
    split_by
        Sidecar keys whose values make several scanners of one.
    """

    scanner_map: Mapping[str, set[str]] = field(default_factory=dict)
    column: Mapping[str, set[str]] = field(default_factory=dict)
    pattern: re.Pattern[str] | None = None
    findings: tuple[Finding, ...] = ()
    split_by: tuple[str, ...] = ()


def read_naming(root: Path, scanner_map: Path | None, column: str, pattern: str | None) -> Naming:
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
        [] if lines or not scanner_map else [Finding("error", str(scanner_map), "no line names a scanner", MAP_FORMAT)]
    )
    cells = read_scanner_column(root, column)
    for file, names in ((scanner_map, lines), (root, cells)):
        findings.extend(_merged_names(str(file), set().union(*names.values())))
    return Naming(lines, cells, _compile(pattern) if pattern else None, tuple(findings))


def identify(file: DwiFile, naming: Naming) -> Scanner | Finding:
    """Name the scanner of a scan, by the first that answers: map, table, sidecar, file name; or say what is missing."""
    scanner = _machine(file, naming)
    if isinstance(scanner, Finding):
        return scanner
    values = [as_text(file.metadata.get(key)) for key in naming.split_by]
    missing = [key for key, value in zip(naming.split_by, values, strict=True) if not sanitize(value)]
    if missing:
        value = f"its sidecars lack {' and '.join(missing)}, by which --split-by tells scanners apart"
        return Finding("error", str(file.image), value, "Add it, or name the scanner with --scanner-map instead.")
    return replace(scanner, label=scanner.label + sanitize("".join(values)))


def _machine(file: DwiFile, naming: Naming) -> Scanner | Finding:
    """Name the machine, however it was set up."""
    for evidence, names in (("map", naming.scanner_map), ("table", naming.column)):
        answers = {answer for answer in _answers(file, names) if sanitize(answer)}
        if len(answers) > 1:
            value = f"the {evidence} names several scanners for it ({', '.join(sorted(answers))})"
            return Finding("error", str(file.image), value, "Name one, on a line with its file name.")
        if answers:
            return Scanner(sanitize(answers.pop()), evidence=evidence)
    return _from_sidecar(file.metadata) or _from_name(file, naming.pattern) or _unnamed(file)


def sanitize(name: str) -> str:
    """Letters and digits of a name: what a label may hold."""
    return re.sub(r"[^0-9A-Za-z]", "", name)


def normalize_model(model: str) -> str:
    """Spell a model one way: "MAGNETOM Prisma Fit" = "Prisma_fit" = "Prisma Fit"; "DISCOVERY_MR750" = "MR750".

    Words keep their letters (dStream, SIGNA), but those in small letters get a capital. "Prisma" and "Prisma Fit" stay
    two models: the latter is a rebuilt Trio.
    """
    words = [word for word in re.split(r"[\s_]+", model.strip()) if word and word.upper() not in VENDOR_WORDS]
    return " ".join(word.capitalize() if word.islower() else word for word in words)


def normalize_serial(serial: object) -> str:
    """Write a serial number as text: 35343, 35343.0 and "35343.0 " are "35343"; empty where it was removed.

    Anonymized ones (Anonymized, 000000000000GEHC, 0000000000orange) have no digit but 0, and name no machine.
    """
    text = "" if isinstance(serial, bool) or not isinstance(serial, str | int | float) else str(serial).strip()
    text = re.sub(r"^(\d+)\.0*$", r"\1", text)
    return text if re.search(r"[1-9]", text) else ""


def model_of(metadata: Mapping[str, Any]) -> str:
    """The model as the sidecar spells it."""
    return next((str(metadata[key]).strip() for key in MODEL_KEYS if metadata.get(key)), "")


def identity_of(metadata: Mapping[str, Any]) -> tuple[str, str]:
    """Model and serial number in one spelling; empty where the sidecar lacks them."""
    return normalize_model(model_of(metadata)), normalize_serial(metadata.get("DeviceSerialNumber"))


def _from_sidecar(metadata: Mapping[str, Any]) -> Scanner | None:
    """Name the machine by model and serial number; None if one of them is missing."""
    model, serial = identity_of(metadata)
    if not sanitize(model) or not serial:
        return None
    manufacturer = str(metadata.get("Manufacturer") or "").strip()
    return Scanner(sanitize(model + serial), manufacturer, model_of(metadata), serial, evidence="sidecar")


def _from_name(file: DwiFile, pattern: re.Pattern[str] | None) -> Scanner | None:
    """Name the machine by what --scanner-from finds in the file name."""
    match = pattern.search(file.image.name) if pattern else None
    label = sanitize(match.group("scanner") or "") if match else ""
    return Scanner(label, evidence="regex") if label else None


def _unnamed(file: DwiFile) -> Finding:
    """Say which fields are missing and how the user can name the scanner."""
    serial = file.metadata.get("DeviceSerialNumber")
    removed = (
        [] if serial in (None, "") or normalize_serial(serial) else [f"its DeviceSerialNumber is anonymized ({serial})"]
    )
    missing = [] if model_of(file.metadata) else ["ManufacturersModelName"]
    missing += [] if removed or normalize_serial(serial) else ["DeviceSerialNumber"]
    lacking = [f"its sidecars lack {' and '.join(missing)}"] if missing and file.metadata else []
    reasons = removed + (lacking if file.metadata else ["it has no sidecar"])
    example = "ses" if "session" in file.entities else "acq" if "acquisition" in file.entities else "sub"
    remedy = (
        "Name the scanner with --scanner-map scanners.tsv (columns scan and scanner), with --scanner-column (a column "
        "of scans.tsv, sessions.tsv or participants.tsv) or with --scanner-from "
        f"'{example}-(?P<scanner>[0-9A-Za-z]+)'."
    )
    return Finding("error", str(file.image), f"unknown scanner: {', '.join(reasons)}", remedy)


def _answers(file: DwiFile, names: Mapping[str, set[str]]) -> set[str]:
    """Scanners of the most specific entries for a scan, or for a raw image it was made from."""
    matches: dict[int, set[str]] = {0: set()}
    for image in (file.image, *file.made_from):
        parts = _stem(image.name).split("_")
        for key, scanners in names.items():
            wanted = _stem(key).split("_")
            # a whole file name is for that file only; "sub-01_ses-ge" is for all files of the session
            if parts == wanted or ("-" in wanted[-1] and set(wanted) <= set(parts)):
                matches.setdefault(len(wanted), set()).update(scanners)
    return set(matches[max(matches)])


def _stem(name: str) -> str:
    """File name without folders and extension."""
    return Path(name).name.split(".")[0]


def _compile(pattern: str) -> re.Pattern[str]:
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


def _merged_names(file: str, names: Iterable[str]) -> list[Finding]:
    """Two names must not silently become one label."""
    spellings: dict[str, set[str]] = {}
    for name in names:
        spellings.setdefault(sanitize(name), set()).add(name)
    return [
        Finding(
            "error", file, f"scanners {', '.join(sorted(same))} become the label {label!r}", "Use letters and digits."
        )
        for label, same in sorted(spellings.items())
        if len(same) > 1 or not label
    ]
