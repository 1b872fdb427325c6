"""What keeps a DWI file from being used, and what is wrong or odd: pure, from names, sidecars and shapes.

A reason to leave a file out is a text, empty if there is none; all else is a finding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bids_shresnet.errors import SEVERITIES, Finding
from bids_shresnet.inputs.dwi_file import DwiFile, describe_search
from bids_shresnet.inputs.scanner_labels import normalize_serial
from bids_shresnet.planning.checks.gradients import MIN_DIRECTIONS
from bids_shresnet.scans import Scan

MAX_LISTED_FILES = 5  # named in a finding that many share


def name_exclusion_reason(file: DwiFile) -> str:
    """Why a file's name and place say that it is not to be harmonized."""
    part, description = file.entities.get("part", "mag"), file.entities.get("desc", "preproc")
    if file.suffix != "dwi":
        return (
            f"a map that the scanner or converter computed ({file.suffix}), not a measured series"
        )
    if "subject" not in file.entities:
        return "its name has no subject (sub-)"
    if unknown := _unknown_name_parts(file):
        return f"its name has parts that BIDS does not know ({', '.join(unknown)}); rename it"
    if file.preprocessed_image:
        return f"its preprocessed version is used instead: {file.preprocessed_image}"
    if part != "mag":
        return f"the {part} part of a complex image; the magnitude is used"
    return (
        ""
        if description == "preproc"
        else f"a processed image (desc-{description}), neither raw nor desc-preproc"
    )


def volume_exclusion_reason(shape: tuple[int, ...]) -> str:
    """Why an image without .bval is no diffusion series; converters write none for b=0 images."""
    volumes = _volume_count(shape)
    if volumes > MIN_DIRECTIONS:
        return ""
    return f"{volumes} volumes without b-values: too few for {MIN_DIRECTIONS} directions"


def check_volume_count(file: DwiFile, shape: tuple[int, ...], expected: int) -> list[Finding]:
    """Whether the image has as many volumes as b-values."""
    volumes = _volume_count(shape)
    if volumes == expected:
        return []
    value = f"{volumes} volumes, but {expected} b-values in {file.bval}"
    return [
        Finding(
            "error",
            str(file.image),
            value,
            "A truncated copy, or tables of another scan; convert it again.",
        )
    ]


def check_sidecar(file: DwiFile) -> list[Finding]:
    """Tell that nothing is known of how a scan was measured, and where its sidecar was looked for."""
    if file.metadata or file.findings:
        return []
    value = f"no .json belongs to it; {describe_search(file)}"
    return [
        Finding(
            "note",
            str(file.image),
            value,
            "Without one the user must name its scanner (--scanner-map).",
        )
    ]


def check_serial_numbers(scans: Iterable[Scan]) -> list[Finding]:
    """Labels given by the user that cover several serial numbers, as when a table knows one scanner a subject."""
    serials: dict[str, set[str]] = {}
    for scan in scans:
        if serial := normalize_serial(scan.metadata.get("DeviceSerialNumber")):
            serials.setdefault(scan.scanner_label, set()).add(serial)
    remedy = "Check the scanner map or column: these may be several machines."
    return [
        Finding(
            "warning",
            f"scanner {label}",
            f"its scans have the serial numbers {', '.join(sorted(found))}",
            remedy,
        )
        for label, found in serials.items()
        if len(found) > 1
    ]


def check_unique_names(scans: Iterable[Scan]) -> list[Finding]:
    """Find scans that would be written to one output file."""
    homes: dict[str, list[str]] = {}
    for scan in scans:
        homes.setdefault(scan.name, []).append(str(scan.image))
    remedy = "Leave one of the derivatives out, or remove one of the files."
    return [
        Finding("error", name, f"several scans of this name: {', '.join(paths)}", remedy)
        for name, paths in homes.items()
        if len(paths) > 1
    ]


def merge_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Join findings that say the same of many files; errors first."""
    files: dict[Finding, dict[str, None]] = {}
    for finding in findings:
        files.setdefault(replace(finding, file=""), {})[finding.file] = None
    together = []
    for finding, names in files.items():
        more = f" and {len(names) - MAX_LISTED_FILES} more" if len(names) > MAX_LISTED_FILES else ""
        together.append(replace(finding, file=", ".join(list(names)[:MAX_LISTED_FILES]) + more))
    return tuple(sorted(together, key=lambda finding: SEVERITIES.index(finding.severity)))


def _unknown_name_parts(file: DwiFile) -> list[str]:
    """Parts of a name that are no entities: without them, two outputs could get one name."""
    *parts, _ = file.image.name.partition(".")[0].split("_")
    values = list(file.entities.values())
    unknown = []
    for part in parts:
        value = part.partition("-")[2]
        if value in values:
            values.remove(value)
        else:
            unknown.append(part)
    return unknown


def _volume_count(shape: tuple[int, ...]) -> int:
    return shape[3] if len(shape) > 3 else 1
