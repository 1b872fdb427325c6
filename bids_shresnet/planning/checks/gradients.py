"""What keeps a gradient table from being used, and what is wrong or odd about it: pure, from its numbers.

A reason to leave a scan out is a text, empty if there is none; all else is a finding.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.gradients import count_directions
from bids_shresnet.diffusion.shells import SHELL_GAP, find_shells
from bids_shresnet.errors import Finding
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.scans import B0_THRESHOLD, Scan

MIN_DIRECTIONS = 6  # unknowns of a diffusion tensor
MIN_BVEC_LENGTH = 1e-2  # of a b-vector without a direction; GE's sqrt(b / bmax) is 0.1 and more
UNIT_LENGTH_TOLERANCE = 1e-2  # of a unit b-vector's length; tables are often rounded to two digits
BVAL_SCATTER_TOLERANCE = 10.0  # s/mm2; less is rounding
MIN_COMPLETE_SHARE = 0.9  # of the usual number of directions, below which a series was truncated
MAX_LISTED_VOLUMES = 10


def gradient_exclusion_reason(
    bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "m 3"]
) -> str:
    """Why a series holds nothing to harmonize, from its b-values and b-vectors as written."""
    weighted, lengths = bvals >= B0_THRESHOLD, np.linalg.norm(bvecs, axis=1)
    if not np.all(np.isfinite(bvals) & (bvals >= 0)):
        return ""  # broken tables are an error, not a reason
    if np.all(bvals < B0_THRESHOLD):
        return "only b=0 images: a reverse phase-encoding scan for distortion correction, nothing to harmonize"
    if weighted.shape != lengths.shape:
        return ""
    if np.all(lengths[weighted] < MIN_BVEC_LENGTH):
        return "all b-vectors are zero: a trace or ADC image, which has no directions to harmonize"
    whole = np.all(
        lengths[weighted] >= MIN_BVEC_LENGTH
    )  # else an error, unless there are too few anyway
    directions = count_directions(bvecs[weighted]) if whole else int(weighted.sum())
    if directions < MIN_DIRECTIONS:
        return f"only {directions} directions, and {MIN_DIRECTIONS} are needed: too few for a diffusion tensor"
    if weighted.all():
        return f"no b=0 image to divide the signal by: the smallest b-value is {bvals.min():g}"
    return ""


def check_gradients(
    file: DwiFile, bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "m 3"]
) -> list[Finding]:
    """Check the b-values and the lengths of the b-vectors, each and against each other; what is odd only if usable."""
    lengths = np.linalg.norm(bvecs, axis=1)
    wrong = ~np.isfinite(bvals) | (bvals < 0)
    if wrong.any():
        value = (
            f"b-values that are negative or no finite numbers, in volumes {_format_volumes(wrong)}"
        )
        return [Finding("error", str(file.bval), value, "Convert the scan again.")]
    if lengths.size != bvals.size:
        value = f"{lengths.size} b-vectors for {bvals.size} b-values in {file.bval}"
        return [
            Finding(
                "error",
                str(file.bvec),
                value,
                "One of the tables is not the scan's; convert it again.",
            )
        ]
    lost = ~np.isfinite(lengths) | ((bvals >= B0_THRESHOLD) & (lengths < MIN_BVEC_LENGTH))
    if lost.any():
        remedy = "Convert the scan again, or remove these volumes from all files."
        return [
            Finding(
                "error",
                str(file.bvec),
                f"no direction in the volumes {_format_volumes(lost)}",
                remedy,
            )
        ]
    return [*_check_bvals(file, bvals), *_check_bvec_lengths(file, bvals, lengths)]


def check_bval_units(
    file: DwiFile, bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "m 3"]
) -> list[Finding]:
    """Suspect b-values in ms/um2: none reaches the threshold of b=0, but the volumes have directions of their own."""
    if not 0 < np.max(bvals) < B0_THRESHOLD or len(bvecs) != len(bvals):
        return []
    directions = count_directions(
        bvecs[(np.linalg.norm(bvecs, axis=1) >= MIN_BVEC_LENGTH) & (bvals > 0)]
    )
    if directions < MIN_DIRECTIONS:
        return []
    value = f"b-values up to {bvals.max():g} only, and {directions} directions"
    return [
        Finding("warning", str(file.bval), value, "If they are in ms/um2, multiply them by 1000.")
    ]


def check_truncation(scans: Iterable[Scan]) -> list[Finding]:
    """Find scans with far fewer directions than most of the same scanner and acquisition."""
    alike: dict[tuple[object, ...], list[Scan]] = {}
    for scan in scans:
        protocol = {
            k: v for k, v in scan.entities.items() if k not in ("subject", "session", "run")
        }
        alike.setdefault((scan.scanner_label, *sorted(protocol.items())), []).append(scan)
    findings = []
    for group in alike.values():
        ((usual, count),) = Counter(scan.direction_count for scan in group).most_common(1)
        short = (
            [scan for scan in group if scan.direction_count < MIN_COMPLETE_SHARE * usual]
            if 2 * count > len(group)
            else []
        )
        for scan in short:
            value = f"{scan.direction_count} directions, where {count} others of {scan.scanner_label} have {usual}"
            remedy = (
                "It may have been stopped early: leave it out if its protocol should be the same."
            )
            findings.append(Finding("warning", str(scan.image), value, remedy))
    return findings


def _check_bvals(file: DwiFile, bvals: Float[np.ndarray, " n"]) -> list[Finding]:
    """Tell b-values near zero, and shells that are not of one b-value."""
    findings = []
    near_zero = bvals[(bvals > 0) & (bvals < B0_THRESHOLD)]
    if near_zero.size:
        value = f"b-values near zero: {_format_range(near_zero)}"
        findings.append(Finding("note", str(file.bval), value, "These volumes count as b=0."))
    for shell in find_shells(bvals):
        scatter = np.ptp(bvals[shell.volumes])
        value = f"b-values scattered from {_format_range(bvals[shell.volumes])}"
        if scatter > SHELL_GAP:
            remedy = f"Without a gap of {SHELL_GAP:g} between shells they count as one: is this what was meant?"
            findings.append(Finding("warning", str(file.bval), value, remedy))
        elif scatter > BVAL_SCATTER_TOLERANCE:
            findings.append(
                Finding("note", str(file.bval), value, "They count as one shell of their mean b.")
            )
    return findings


def _check_bvec_lengths(
    file: DwiFile, bvals: Float[np.ndarray, " n"], lengths: Float[np.ndarray, " n"]
) -> list[Finding]:
    """Tell b-vectors that are not unit vectors, or not zero at b=0."""
    findings, weighted = [], bvals >= B0_THRESHOLD
    if np.any(lengths[~weighted] >= MIN_BVEC_LENGTH):
        value = "b-vectors of b=0 volumes that are not zero"
        findings.append(Finding("note", str(file.bvec), value, "They are ignored."))
    if np.any(np.abs(lengths[weighted] - 1) > UNIT_LENGTH_TOLERANCE):
        value = f"b-vectors of length {_format_range(lengths[weighted])}"
        remedy = "They are used with length 1, and the b-values as they are."
        findings.append(Finding("warning", str(file.bvec), value, remedy))
    return findings


def _format_range(values: Float[np.ndarray, " n"]) -> str:
    """Smallest and largest value."""
    lowest, highest = f"{values.min():.4g}", f"{values.max():.4g}"
    return lowest if lowest == highest else f"{lowest} to {highest}"


def _format_volumes(volumes: Bool[np.ndarray, " n"]) -> str:
    """List the true volumes."""
    indices = [str(index) for index in np.flatnonzero(volumes)]
    more = " ..." if len(indices) > MAX_LISTED_VOLUMES else ""
    return f"{' '.join(indices[:MAX_LISTED_VOLUMES])}{more} (counted from 0)"
