"""Checks of gradient tables, from their numbers alone.

A reason to exclude a scan is a text, empty if there is none. All else is a finding.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from bids_shresnet.diffusion.gradients import count_directions
from bids_shresnet.diffusion.shells import SHELL_GAP, find_shells
from bids_shresnet.errors import Finding
from bids_shresnet.inputs.dwi_file import DwiFile
from bids_shresnet.scans import B0_THRESHOLD

MIN_DIRECTIONS = 6  # unknowns of a diffusion tensor
MIN_BVEC_LENGTH = 1e-2  # below, a b-vector is no direction; GE's sqrt(b / bmax) is 0.1 and more
UNIT_LENGTH_TOLERANCE = 1e-2  # tables are often rounded to two digits
BVAL_SCATTER_TOLERANCE = 10.0  # s/mm2; less is rounding
MAX_LISTED_VOLUMES = 10


def gradient_exclusion_reason(
    bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "m 3"]
) -> str:
    """Return why there is nothing to harmonize; empty for a broken table, which is an error.

    Parameters
    ----------
    bvals, bvecs
        As written; b-values in s/mm2.
    """
    if not np.all(np.isfinite(bvals) & (bvals >= 0)):
        return ""
    is_weighted = bvals >= B0_THRESHOLD
    if not is_weighted.any():
        return (
            "only b=0 images: a reverse phase-encoding scan for distortion correction, "
            "nothing to harmonize"
        )
    if len(bvecs) != len(bvals):
        return ""
    reason = _direction_exclusion_reason(bvecs[is_weighted])
    if not reason and is_weighted.all():
        smallest = f"the smallest b-value is {bvals.min():g}"
        return f"no b=0 image to divide the signal by: {smallest}"
    return reason


def _direction_exclusion_reason(bvecs: Float[np.ndarray, "n 3"]) -> str:
    """Return why weighted volumes have too few directions."""
    lengths = np.linalg.norm(bvecs, axis=1)
    if np.all(lengths < MIN_BVEC_LENGTH):
        return "all b-vectors are zero: a trace or ADC image, which has no directions to harmonize"
    # a missing direction is an error, unless there are too few directions anyway
    is_complete = np.all(lengths >= MIN_BVEC_LENGTH)
    directions = count_directions(bvecs) if is_complete else len(bvecs)
    if directions >= MIN_DIRECTIONS:
        return ""
    needed = f"{MIN_DIRECTIONS} are needed: too few for a diffusion tensor"
    return f"only {directions} directions, and {needed}"


def check_gradients(
    file: DwiFile, bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "m 3"]
) -> list[Finding]:
    """Check b-values and b-vectors; a table without errors is also checked for oddities.

    Parameters
    ----------
    file
        The file that they belong to.
    bvals, bvecs
        As written; b-values in s/mm2.
    """
    lengths = np.linalg.norm(bvecs, axis=1)
    is_wrong = ~np.isfinite(bvals) | (bvals < 0)
    if is_wrong.any():
        volumes = _format_volumes(is_wrong)
        value = f"b-values that are negative or no finite numbers, in volumes {volumes}"
        return [Finding.error(str(file.bval), value, "Convert the scan again.")]
    if lengths.size != bvals.size:
        value = f"{lengths.size} b-vectors for {bvals.size} b-values in {file.bval}"
        remedy = "One of the tables is not the scan's; convert it again."
        return [Finding.error(str(file.bvec), value, remedy)]
    is_lost = ~np.isfinite(lengths) | ((bvals >= B0_THRESHOLD) & (lengths < MIN_BVEC_LENGTH))
    if is_lost.any():
        value = f"no direction in the volumes {_format_volumes(is_lost)}"
        remedy = "Convert the scan again, or remove these volumes from all files."
        return [Finding.error(str(file.bvec), value, remedy)]
    return [*_check_bvals(file, bvals), *_check_bvec_lengths(file, bvals, lengths)]


def check_bval_units(
    file: DwiFile, bvals: Float[np.ndarray, " n"], bvecs: Float[np.ndarray, "m 3"]
) -> list[Finding]:
    """Suspect b-values in ms/um2: volumes with directions, but b-values below that of b=0."""
    if not 0 < np.max(bvals) < B0_THRESHOLD or len(bvecs) != len(bvals):
        return []
    has_direction = np.linalg.norm(bvecs, axis=1) >= MIN_BVEC_LENGTH
    directions = count_directions(bvecs[has_direction & (bvals > 0)])
    if directions < MIN_DIRECTIONS:
        return []
    value = f"b-values up to {bvals.max():g} only, and {directions} directions"
    remedy = "If they are in ms/um2, multiply them by 1000."
    return [Finding.warning(str(file.bval), value, remedy)]


def _check_bvals(file: DwiFile, bvals: Float[np.ndarray, " n"]) -> list[Finding]:
    """Find b-values near zero, and shells of scattered b-values."""
    findings = []
    near_zero = bvals[(bvals > 0) & (bvals < B0_THRESHOLD)]
    if near_zero.size:
        value = f"b-values near zero: {_format_range(near_zero)}"
        findings.append(Finding.note(str(file.bval), value, "These volumes count as b=0."))
    for shell in find_shells(bvals):
        shell_bvals = bvals[shell.volumes]
        scatter = np.ptp(shell_bvals)
        value = f"b-values scattered from {_format_range(shell_bvals)}"
        if scatter > SHELL_GAP:
            gap = f"Without a gap of {SHELL_GAP:g} between shells they count as one"
            remedy = f"{gap}: is this what was meant?"
            findings.append(Finding.warning(str(file.bval), value, remedy))
        elif scatter > BVAL_SCATTER_TOLERANCE:
            remedy = "They count as one shell of their mean b."
            findings.append(Finding.note(str(file.bval), value, remedy))
    return findings


def _check_bvec_lengths(
    file: DwiFile, bvals: Float[np.ndarray, " n"], lengths: Float[np.ndarray, " n"]
) -> list[Finding]:
    """Find b-vectors that are not unit vectors, or not zero at b=0."""
    findings = []
    is_weighted = bvals >= B0_THRESHOLD
    if np.any(lengths[~is_weighted] >= MIN_BVEC_LENGTH):
        value = "b-vectors of b=0 volumes that are not zero"
        findings.append(Finding.note(str(file.bvec), value, "They are ignored."))
    if np.any(np.abs(lengths[is_weighted] - 1) > UNIT_LENGTH_TOLERANCE):
        value = f"b-vectors of length {_format_range(lengths[is_weighted])}"
        remedy = "They are used with length 1, and the b-values as they are."
        findings.append(Finding.warning(str(file.bvec), value, remedy))
    return findings


def _format_range(values: Float[np.ndarray, " n"]) -> str:
    """Write the smallest and the largest value."""
    lowest = f"{values.min():.4g}"
    highest = f"{values.max():.4g}"
    return lowest if lowest == highest else f"{lowest} to {highest}"


def _format_volumes(is_listed: Bool[np.ndarray, " n"]) -> str:
    """Write the indices of volumes."""
    indices = [str(index) for index in np.flatnonzero(is_listed)]
    more = " ..." if len(indices) > MAX_LISTED_VOLUMES else ""
    return f"{' '.join(indices[:MAX_LISTED_VOLUMES])}{more} (counted from 0)"
