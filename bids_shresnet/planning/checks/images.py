"""Checks of image values. Unlike the other checks, they read the whole image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from bids_shresnet.diffusion.attenuation import mean_b0
from bids_shresnet.diffusion.coherence import find_better_reorientation, find_tracts
from bids_shresnet.diffusion.signal_quality import (
    SignalQuality,
    check_mask,
    check_signal,
    head_mask,
)
from bids_shresnet.errors import BadInput, Finding, InputMissing
from bids_shresnet.io.gradients.gradient_axes import to_fsl
from bids_shresnet.io.images.nifti import read_dwi, read_on_grid
from bids_shresnet.io.images.nifti_header import read_grid
from bids_shresnet.scans import Dwi, Scan

MIN_HEAD_VOXELS = 200  # with fewer, fibres are too short to tell one reading from another
MAX_NEGATIVE_SHARE = 0.001  # of the values in a head; interpolation leaves fewer
MAX_NOT_FINITE_SHARE = 0.5  # of the values in a head; with more, a scan cannot be used
MAX_HOLE_SHARE = 0.001  # of the voxels of a mask
MAX_DETACHED_SHARE = 0.01  # of the voxels of a mask


@dataclass(frozen=True)
class ImageCheckJob:
    """A scan to check."""

    scan: Scan


def check_image(job: ImageCheckJob) -> list[Finding]:
    """Read a scan and its mask, and check their values."""
    scan = job.scan
    mask = None
    try:
        dwi = read_dwi(scan)
        if scan.mask:
            mask = read_on_grid(scan.mask, dwi.shape, dwi.affine, spline_order=0) > 0
    except BadInput as error:
        return list(error.findings)
    except InputMissing as error:
        return [Finding.error(scan.image, str(error), "Copy or fetch it.")]
    findings = [] if scan.mask is None or mask is None else _check_mask(scan.mask, mask)
    findings += _check_signal(scan.image, check_signal(dwi, mask))
    if not any(finding.severity == "error" for finding in findings):
        findings += _check_bvec_axes(scan, dwi, mask)
    return findings


def _check_mask(path: Path, mask: Bool[np.ndarray, "x y z"]) -> list[Finding]:
    """Find an empty mask, holes and detached pieces."""
    quality = check_mask(mask)
    if not quality.voxels:
        return [Finding.error(path, "the mask is empty", "Make it again, or remove it.")]
    findings = []
    if quality.hole_voxels > MAX_HOLE_SHARE * quality.voxels:
        value = f"holes of {quality.hole_voxels} voxels in a mask of {quality.voxels}"
        remedy = "They are not harmonized: fill them, or remove the mask."
        findings.append(Finding.warning(path, value, remedy))
    if quality.detached_voxels > MAX_DETACHED_SHARE * quality.voxels:
        voxels = f"{quality.detached_voxels} of {quality.voxels} voxels"
        value = f"{voxels} are apart from the largest piece"
        findings.append(Finding.warning(path, value, "Look whether they are brain."))
    return findings


def _check_signal(image: Path, quality: SignalQuality) -> list[Finding]:
    """Find values that are no signal."""
    if not quality.has_signal:
        value = "the b=0 volumes hold no signal"
        return [Finding.error(image, value, "Copy or convert it again.")]
    findings = []
    if quality.not_finite_share:
        findings.append(_not_finite_finding(image, quality.not_finite_share))
    if quality.negative_share:
        findings.append(_negative_finding(image, quality.negative_share))
    if quality.has_bad_background:
        value = "values outside the head that are NaN, infinite or negative"
        findings.append(Finding.note(image, value, "They are not used."))
    if quality.empty_volumes.size:
        volumes = " ".join(map(str, quality.empty_volumes))
        value = f"nothing but zeros in the volumes {volumes} (counted from 0)"
        remedy = "Remove these volumes from all files of the scan."
        findings.append(Finding.warning(image, value, remedy))
    return findings


def _not_finite_finding(image: Path, share: float) -> Finding:
    """Describe NaN and infinite values; many of them are an error."""
    value = f"{share:.2%} of the values in the head are NaN or infinite"
    remedy = "Find out which step of the processing made them"
    if share > MAX_NOT_FINITE_SHARE:
        return Finding.error(image, value, f"{remedy}.")
    return Finding.warning(image, value, f"{remedy}; they count as no signal.")


def _negative_finding(image: Path, share: float) -> Finding:
    """Describe negative values; a few of them are a note."""
    value = f"{share:.2%} of the values in the head are negative"
    remedy = "They count as 0; interpolation leaves a few, a wrong data type or offset many."
    if share > MAX_NEGATIVE_SHARE:
        return Finding.warning(image, value, remedy)
    return Finding.note(image, value, remedy)


def _check_bvec_axes(scan: Scan, dwi: Dwi, mask: Bool[np.ndarray, "x y z"] | None) -> list[Finding]:
    """Find flipped or swapped b-vectors, which make fibres less coherent than they could be.

    The axes named are those of the .bvec.
    """
    # a brain mask would take longer to compute, and exclude little near its middle
    voxels = head_mask(mean_b0(dwi)) if mask is None else mask
    if voxels.sum() < MIN_HEAD_VOXELS:
        return []
    _, affine = read_grid(scan.image)
    tracts = find_tracts(dwi, voxels)
    shape = tracts.directions.shape
    directions = to_fsl(tracts.directions.reshape(-1, 3).astype(float), affine).reshape(shape)
    grid_axes = to_fsl(dwi.affine[:3, :3].T, affine).T
    suspicion = find_better_reorientation(replace(tracts, directions=directions), grid_axes)
    if suspicion is None:
        return []
    value = (
        f"fibres are more coherent if you {suspicion.name} in the b-vectors: "
        f"{suspicion.coherence:.1%} of neighbouring voxels then point at each other, "
        f"{suspicion.original_coherence:.1%} as it stands"
    )
    scanner = scan.scanner_label
    large_tracts = "Nothing was changed. Look at large tracts in a viewer"
    return [Finding.warning(scan.bvec, value, f"{large_tracts}, and check all scans of {scanner}.")]
