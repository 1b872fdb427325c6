"""What is wrong or odd about what an image holds; for this the whole image is read, unlike for the other checks."""

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
from bids_shresnet.io.fsl import to_fsl
from bids_shresnet.io.nifti import read_dwi, read_on_grid
from bids_shresnet.io.nifti_header import read_grid
from bids_shresnet.scans import Dwi, Scan

MAX_NEGATIVE_SHARE = 0.001  # share of negative values in a head that interpolation leaves behind
MAX_NOT_FINITE_SHARE = (
    0.5  # share of values in a head that are no numbers, from which nothing can be learned
)
MAX_HOLE_SHARE = 0.001  # share of a mask
MAX_DETACHED_SHARE = 0.01


@dataclass(frozen=True)
class ImageCheckJob:
    """One scan to read through.

    Attributes
    ----------
    should_check_bvecs
        Whether to see if its b-vectors fit its image, which takes a second more; once a scanner is enough.
    """

    scan: Scan
    should_check_bvecs: bool


def check_image(job: ImageCheckJob) -> list[Finding]:
    """Read a scan and its mask, and tell what is wrong or odd about what they hold."""
    scan = job.scan
    try:
        dwi = read_dwi(scan)
        mask = (
            read_on_grid(scan.mask, dwi.shape, dwi.affine, spline_order=0) > 0
            if scan.mask
            else None
        )
    except BadInput as error:
        return list(error.findings)
    except InputMissing as error:
        return [Finding("error", str(scan.image), str(error), "Copy or fetch it.")]
    values = check_signal(dwi, mask)
    findings = [*_check_mask(scan.mask, mask), *_check_values(scan.image, values)]
    if job.should_check_bvecs and not any(finding.severity == "error" for finding in findings):
        findings += _check_bvec_axes(scan, dwi, mask)
    return findings


def _check_mask(path: Path | None, mask: Bool[np.ndarray, "x y z"] | None) -> list[Finding]:
    """Look for nothing, holes and crumbs."""
    if path is None or mask is None:
        return []
    shape = check_mask(mask)
    if not shape.voxels:
        return [Finding("error", str(path), "the mask is empty", "Make it again, or remove it.")]
    findings = []
    if shape.hole_voxels > MAX_HOLE_SHARE * shape.voxels:
        value = f"holes of {shape.hole_voxels} voxels in a mask of {shape.voxels}"
        findings.append(
            Finding(
                "warning",
                str(path),
                value,
                "They are not harmonized: fill them, or remove the mask.",
            )
        )
    if shape.detached_voxels > MAX_DETACHED_SHARE * shape.voxels:
        value = f"{shape.detached_voxels} of {shape.voxels} voxels are apart from the largest piece"
        findings.append(Finding("warning", str(path), value, "Look whether they are brain."))
    return findings


def _check_values(image: Path, values: SignalQuality) -> list[Finding]:
    """Look for values that are no signal."""
    if not values.has_signal:
        return [
            Finding(
                "error", str(image), "the b=0 volumes hold no signal", "Copy or convert it again."
            )
        ]
    findings = []
    if values.not_finite_share:
        severe = values.not_finite_share > MAX_NOT_FINITE_SHARE
        value = f"{values.not_finite_share:.2%} of the values in the head are NaN or infinite"
        remedy = "Find out which step of the processing made them" + (
            "." if severe else "; they count as no signal."
        )
        findings.append(Finding("error" if severe else "warning", str(image), value, remedy))
    if values.negative_share:
        value = f"{values.negative_share:.2%} of the values in the head are negative"
        remedy = "They count as 0; interpolation leaves a few, a wrong data type or offset many."
        findings.append(
            Finding(
                "warning" if values.negative_share > MAX_NEGATIVE_SHARE else "note",
                str(image),
                value,
                remedy,
            )
        )
    if values.has_bad_background:
        value = "values outside the head that are NaN, infinite or negative"
        findings.append(Finding("note", str(image), value, "They are not used."))
    if values.empty_volumes.size:
        value = f"nothing but zeros in the volumes {' '.join(map(str, values.empty_volumes))} (counted from 0)"
        findings.append(
            Finding(
                "warning", str(image), value, "Remove these volumes from all files of the scan."
            )
        )
    return findings


def _check_bvec_axes(scan: Scan, dwi: Dwi, mask: Bool[np.ndarray, "x y z"] | None) -> list[Finding]:
    """See whether another reading of the b-vectors would make fibres more coherent; FSL's axes are the table's."""
    _, affine = read_grid(scan.image)
    # a mask of the brain would take longer to make, and leaves out little within reach of its middle
    tracts = find_tracts(dwi, head_mask(mean_b0(dwi)) if mask is None else mask)
    flat = to_fsl(tracts.directions.reshape(-1, 3).astype(float), affine)
    turned = replace(tracts, directions=flat.reshape(tracts.directions.shape))
    suspicion = find_better_reorientation(turned, to_fsl(dwi.affine[:3, :3].T, affine).T)
    if suspicion is None:
        return []
    value = (
        f"fibres are more coherent if you {suspicion.name} in the b-vectors: {suspicion.coherence:.1%} of "
        f"neighbouring voxels then point at each other, {suspicion.original_coherence:.1%} as it stands"
    )
    remedy = f"Nothing was changed. Look at large tracts in a viewer, and check all scans of {scan.scanner_label}."
    return [Finding("warning", str(scan.bvec), value, remedy)]
