"""Checks of DWI files, from names, sidecars and shapes alone.

A reason to exclude a file is a text, empty if there is none. All else is a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from bids_shresnet.errors import Finding
from bids_shresnet.inputs.dwi_file import DwiFile, describe_search
from bids_shresnet.outputs.layout import NAME_ENTITIES, REPLACED_ENTITIES, ScanOutputs
from bids_shresnet.planning.checks.gradients import MIN_DIRECTIONS
from bids_shresnet.scans import Scan

MIN_COMPLETE_SHARE = 0.9  # of the usual number of directions; with fewer, a scan was truncated
# Entities that may differ among scans of one protocol
REPETITION_ENTITIES = ("subject", "session", "run")


def name_exclusion_reason(file: DwiFile) -> str:
    """Return why a file is not harmonized, from its name and folder."""
    if file.suffix != "dwi":
        is_derived = "model" in file.entities or "desc" in file.entities
        maker = "a pipeline" if is_derived else "the scanner or converter"
        return f"a map that {maker} computed ({file.suffix}), not a measured series"
    if "subject" not in file.entities:
        return "its name has no subject (sub-)"
    if unknown := _unknown_name_parts(file):
        return f"its name has parts that BIDS does not know ({', '.join(unknown)}); rename it"
    if file.preprocessed_image:
        return f"its preprocessed version is used instead: {file.preprocessed_image}"
    part = file.entities.get("part", "mag")
    if part != "mag":
        return f"the {part} part of a complex image; the magnitude is used"
    description = file.entities.get("desc", "preproc")
    if description != "preproc":
        return f"a processed image (desc-{description}), neither raw nor desc-preproc"
    if unnamed := sorted({*file.entities} - {*NAME_ENTITIES, *REPLACED_ENTITIES}):
        fields = ", ".join(unnamed)
        return f"its name has entities that output names have no field for ({fields}); rename it"
    return ""


def volume_exclusion_reason(shape: tuple[int, ...]) -> str:
    """Return why an image without .bval is no diffusion series.

    Converters write no .bval for b=0 images.
    """
    volumes = _volume_count(shape)
    if volumes > MIN_DIRECTIONS:
        return ""
    return f"{volumes} volumes without b-values: too few for {MIN_DIRECTIONS} directions"


def check_volume_count(file: DwiFile, shape: tuple[int, ...], expected: int) -> list[Finding]:
    """Check that an image has as many volumes as b-values."""
    volumes = _volume_count(shape)
    if volumes == expected:
        return []
    value = f"{volumes} volumes, but {expected} b-values in {file.bval}"
    remedy = "A truncated copy, or tables of another scan; convert it again."
    return [Finding.error(file.image, value, remedy)]


def check_sidecar(file: DwiFile) -> list[Finding]:
    """Note a missing sidecar, with the folders that were searched."""
    if file.metadata or file.findings:
        return []
    value = f"no .json belongs to it; {describe_search(file)}"
    remedy = "Without one the user must name its scanner (--scanner-map)."
    return [Finding.note(file.image, value, remedy)]


def check_unique_names(scans: Iterable[Scan]) -> list[Finding]:
    """Find scans that would be written to one output file."""
    images: dict[str, list[str]] = {}
    for scan in scans:
        output = ScanOutputs(scan, Path()).dwi()
        images.setdefault(output.name, []).append(str(scan.image))
    remedy = "Leave one of the derivatives out, or remove one of the files."
    return [
        Finding.error(name, f"several scans have this output: {', '.join(paths)}", remedy)
        for name, paths in images.items()
        if len(paths) > 1
    ]


def check_truncation(scans: Iterable[Scan]) -> list[Finding]:
    """Find scans with far fewer directions than most of the same scanner and protocol."""
    groups: dict[tuple[object, ...], list[Scan]] = {}
    for scan in scans:
        protocol = {k: v for k, v in scan.entities.items() if k not in REPETITION_ENTITIES}
        groups.setdefault((scan.scanner_label, *sorted(protocol.items())), []).append(scan)
    return [finding for group in groups.values() for finding in _find_truncated(group)]


def _find_truncated(scans: Sequence[Scan]) -> list[Finding]:
    """Find scans with fewer directions than the majority of a group."""
    counts = Counter(scan.direction_count for scan in scans)
    directions, count = counts.most_common(1)[0]
    if 2 * count <= len(scans):
        return []
    findings = []
    for scan in scans:
        if scan.direction_count < MIN_COMPLETE_SHARE * directions:
            others = f"{count} others of {scan.scanner_label} have {directions}"
            value = f"{scan.direction_count} directions, where {others}"
            stopped = "It may have been stopped early"
            remedy = f"{stopped}: leave it out if its protocol should be the same."
            findings.append(Finding.warning(scan.image, value, remedy))
    return findings


def _unknown_name_parts(file: DwiFile) -> list[str]:
    """Return the parts of a name that are no entities: outputs would get the same name."""
    parts = file.image.name.partition(".")[0].split("_")[:-1]
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
