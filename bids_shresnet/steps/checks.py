"""What keeps a DWI file from being used, and what is wrong or odd: pure, from names, gradient tables and shapes.

A reason to leave a file out is a text, empty if there is none; all else is a finding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.errors import Finding
from bids_shresnet.files.scanners import normalize_serial
from bids_shresnet.files.series import DwiFile
from bids_shresnet.scans import B0_THRESHOLD, Scan

MIN_DIRECTIONS = 6  # unknowns of a diffusion tensor
NO_LENGTH = 1e-2  # of a b-vector without a direction; GE's sqrt(b / bmax) is 0.1 and more
UNIT_TOLERANCE = 1e-2  # of a unit b-vector's length; tables are often rounded to two digits
LISTED_FILES = 5  # named in a finding that many share
LISTED_VOLUMES = 10


def not_a_series(file: DwiFile) -> str:
    """Why a file's name and place say that it is not to be harmonized."""
    part, description = file.entities.get("part", "mag"), file.entities.get("desc", "preproc")
    if file.suffix != "dwi":
        return f"a map that the scanner or converter computed ({file.suffix}), not a measured series"
    if "subject" not in file.entities:
        return "its name has no subject (sub-)"
    if file.replaced_by:
        return f"its preprocessed version is used instead: {file.replaced_by}"
    if part != "mag":
        return f"the {part} part of a complex image; the magnitude is used"
    return "" if description == "preproc" else f"a processed image (desc-{description}), neither raw nor desc-preproc"


def too_few_volumes(shape: tuple[int, ...]) -> str:
    """Why an image without .bval is no diffusion series; converters write none for b=0 images."""
    volumes = _volumes(shape)
    if volumes > MIN_DIRECTIONS:
        return ""
    return f"{volumes} volumes without b-values: too few for {MIN_DIRECTIONS} directions"


def nothing_to_harmonize(bvals: Float[np.ndarray, " n"], lengths: Float[np.ndarray, " m"]) -> str:
    """Why a series holds nothing to harmonize, from its b-values and the lengths of its b-vectors."""
    weighted = bvals >= B0_THRESHOLD
    directions = int(weighted.sum())
    if np.all(bvals < B0_THRESHOLD):
        return "only b=0 images: a reverse phase-encoding scan for distortion correction, nothing to harmonize"
    if weighted.shape != lengths.shape or not np.isfinite(bvals).all():
        return ""  # broken tables are an error, not a reason
    if np.all(lengths[weighted] < NO_LENGTH):
        return "all b-vectors are zero: a trace or ADC image, which has no directions to harmonize"
    if directions < MIN_DIRECTIONS:
        return f"only {directions} directions, and {MIN_DIRECTIONS} are needed: too few for a diffusion tensor"
    if weighted.all():
        return f"no b=0 image to divide the signal by: the smallest b-value is {bvals.min():g}"
    return ""


def gradient_faults(file: DwiFile, bvals: Float[np.ndarray, " n"], lengths: Float[np.ndarray, " m"]) -> list[Finding]:
    """Check the b-values and the lengths of the b-vectors, each and against each other."""
    if not np.isfinite(bvals).all():
        value = f"b-values that are no finite numbers, in volumes {_listed(~np.isfinite(bvals))}"
        return [Finding("error", str(file.bval), value, "Convert the scan again.")]
    if lengths.size != bvals.size:
        value = f"{lengths.size} b-vectors for {bvals.size} b-values in {file.bval}"
        return [Finding("error", str(file.bvec), value, "One of the tables is not the scan's; convert it again.")]
    weighted = bvals >= B0_THRESHOLD
    lost = ~np.isfinite(lengths) | (weighted & (lengths < NO_LENGTH))
    if lost.any():
        remedy = "Convert the scan again, or remove these volumes from all files."
        return [Finding("error", str(file.bvec), f"no direction in the volumes {_listed(lost)}", remedy)]
    used = lengths[weighted]
    if np.all(np.abs(used - 1) <= UNIT_TOLERANCE):
        return []
    value = f"b-vectors of length {used.min():.3g} to {used.max():.3g}"
    return [Finding("warning", str(file.bvec), value, "They are used with length 1, and the b-values as they are.")]


def volume_faults(file: DwiFile, shape: tuple[int, ...], expected: int) -> list[Finding]:
    """Whether the image has as many volumes as b-values."""
    volumes = _volumes(shape)
    if volumes == expected:
        return []
    value = f"{volumes} volumes, but {expected} b-values in {file.bval}"
    return [Finding("error", str(file.image), value, "A truncated copy, or tables of another scan; convert it again.")]


def mixed_machines(scans: Iterable[Scan]) -> list[Finding]:
    """Labels given by the user that cover several serial numbers, as when a table knows one scanner a subject."""
    serials: dict[str, set[str]] = {}
    for scan in scans:
        if serial := normalize_serial(scan.metadata.get("DeviceSerialNumber")):
            serials.setdefault(scan.scanner_label, set()).add(serial)
    remedy = "Check the scanner map or column: these may be several machines."
    return [
        Finding("warning", f"scanner {label}", f"its scans have the serial numbers {', '.join(sorted(found))}", remedy)
        for label, found in serials.items()
        if len(found) > 1
    ]


def same_names(scans: Iterable[Scan]) -> list[Finding]:
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


def joined(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Join findings that say the same of many files; errors first."""
    files: dict[Finding, dict[str, None]] = {}
    for finding in findings:
        files.setdefault(replace(finding, file=""), {})[finding.file] = None
    together = []
    for finding, names in files.items():
        more = f" and {len(names) - LISTED_FILES} more" if len(names) > LISTED_FILES else ""
        together.append(replace(finding, file=", ".join(list(names)[:LISTED_FILES]) + more))
    return tuple(sorted(together, key=lambda finding: finding.severity))


def _volumes(shape: tuple[int, ...]) -> int:
    return shape[3] if len(shape) > 3 else 1


def _listed(volumes: Bool[np.ndarray, " n"]) -> str:
    """List the true volumes."""
    indices = [str(index) for index in np.flatnonzero(volumes)]
    more = " ..." if len(indices) > LISTED_VOLUMES else ""
    return f"{' '.join(indices[:LISTED_VOLUMES])}{more} (counted from 0)"
